//! Tables add up, and every figure leads to a list that adds up to it.

use super::browser::{Answer, Browser, whole};
use super::{Running, SMALL};
use crate::console::tests::company::id;
use std::collections::BTreeSet;

const DAYS: &str = "from=2026-11-21&to=2026-11-23";

/// The columns of the first table that hold whole numbers: (sum of the rows, the row of totals).
fn sums(page: &Answer) -> Vec<(i64, i64)> {
    let rows = page.rows();
    let foot = rows.iter().position(|row| row.first().is_some_and(|cell| cell == "合计")).unwrap();
    let body = &rows[1..foot];
    let column = |at: usize| {
        let total = whole(&rows[foot][at])?;
        Some((body.iter().map(|row| whole(&row[at])).sum::<Option<i64>>()?, total))
    };
    (1..rows[foot].len()).filter_map(column).collect()
}

#[tokio::test]
async fn the_regions_add_up_to_the_nation() {
    let running = Running::start(SMALL).await;
    let mut browser = running.logged_in("hq").await;
    let page = browser.get(&format!("/?{DAYS}")).await;
    let names: Vec<_> = page.rows()[1..11].iter().map(|row| row[0].clone()).collect();
    assert_eq!(names.len(), 10);
    assert_eq!(names[9], "未分配");
    let sums = sums(&page);
    assert!(sums.len() >= 8 && sums.iter().any(|(_, total)| *total > 100), "{sums:?}");
    assert!(sums.iter().all(|(sum, total)| sum == total), "{sums:?}");
    assert!(
        page.body.contains("14/18 台设备") && page.body.contains("class=\"figure waiting\""),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn areas_and_own_outlets_add_up_to_the_region() {
    let running = Running::start(SMALL).await;
    let mut browser = running.logged_in("north").await;
    let page = browser.get(&format!("/?{DAYS}")).await;
    let sums = sums(&page);
    assert!(sums.len() >= 8 && sums.iter().any(|(_, total)| *total > 10), "{sums:?}");
    assert!(sums.iter().all(|(sum, total)| sum == total), "{sums:?}");
}

/// Follows every figure of a page and compares it with the sum of its list. Returns the number of figures followed.
async fn follow(browser: &mut Browser, path: &str, seen: &mut BTreeSet<String>) -> usize {
    let page = browser.get(path).await;
    assert_eq!(page.status, 200, "{path}");
    let mut compared = 0;
    for (link, text) in page.figures() {
        let list = if link == path { continue } else { browser.get(&link).await };
        assert_eq!(list.status, 200, "{path} → {link}");
        let Some(figure) = whole(&text) else { continue };
        if link.starts_with("/products") {
            let column = list.rows()[0].len();
            let totals = list.rows().into_iter().rfind(|row| row[0] == "合计").unwrap();
            assert_eq!(totals.len(), column);
            assert!(
                totals.iter().any(|cell| whole(cell) == Some(figure)),
                "{path} → {link}: {figure} in {totals:?}"
            );
        } else {
            assert_eq!(list.count(), Some(figure), "{path} → {link}");
            let rows = list.body.matches("<tr>").count() as i64 - 1;
            assert!(
                figure > 200 || !link.contains("visits") || rows == figure.max(1),
                "{path} → {link}: {rows} rows"
            );
        }
        seen.insert(link.split('?').next().unwrap_or_default().to_owned());
        compared += 1;
    }
    compared
}

#[tokio::test]
async fn every_figure_leads_to_the_list_that_makes_it_up() {
    let running = Running::start(SMALL).await;
    let mut browser = running.logged_in("hq").await;
    let mut seen = BTreeSet::new();
    let region = id("HUA_BEI");
    let person = id("HUA_BEI-P1");
    let pages = [
        format!("/?{DAYS}"),
        "/?day=2026-11-23".to_owned(),
        format!("/unit/{region}?{DAYS}"),
        "/unit/none?day=2026-11-23".to_owned(),
        format!("/person/{person}?day=2026-11-22"),
        format!("/products?what=stock&unit={region}&{DAYS}"),
        format!("/products?what=absent&unit={region}&own=1&day=2026-11-23"),
        format!("/products?what=absent&person={person}&{DAYS}"),
        format!("/products?what=absent&outlet={}&{DAYS}", id("HUA_BEI-P1-S1")),
    ];
    let mut compared = 0;
    for page in &pages {
        compared += follow(&mut browser, page, &mut seen).await;
    }
    assert!(compared > 300, "{compared}");
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["/issues", "/products", "/shelf", "/stock", "/visits"]);
}
