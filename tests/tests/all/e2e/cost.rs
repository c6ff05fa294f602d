//! The cost of a sync in bytes and in round trips: the figures of docs/INTEGRATE.md.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use xundian_protocol::calendar::Day;
use xundian_protocol::kinds::{Role, UnitType};
use xundian_server::sessions::now_ms;
use xundian_tests::company::{Company, NewOutlet};
use xundian_tests::serving::Serving;
use xundian_tests::support::company::{product, today};
use xundian_tests::support::device::{Device, bundle};
use xundian_tests::support::relay::Relay;
use xundian_tests::support::service::{HOUR_MS, invitation};

/// What a merchandiser's device holds: the outlets of one position, and all products of the company.
const OUTLETS: usize = 300;
const PRODUCTS: usize = 500;
/// A day's work.
const VISITS: i64 = 24;
const LINES: u64 = 20;
const FIRST_VISIT_MS: i64 = 8 * 3_600_000;
const BETWEEN_VISITS_MS: i64 = 20 * 60_000;

/// So long that the processing time at both ends hardly matters.
const FAR_ONE_WAY: Duration = Duration::from_millis(150);

/// The names and addresses of a company, which make up most of a first sync.
struct Texts {
    /// Names and addresses.
    shops: Vec<(String, String)>,
    products: Vec<String>,
}

impl Texts {
    fn made_up() -> Self {
        let shop = |n| (format!("便民超市第{n}店"), format!("朝阳区建国路{n}号"));
        Self {
            shops: (0..OUTLETS).map(shop).collect(),
            products: (0..PRODUCTS).map(|n| format!("茶饮料 {n} 号 500毫升")).collect(),
        }
    }

    /// Reads names and addresses from the public data beside the workspace; `None` if they are absent.
    fn public() -> Option<Self> {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
        let rows = |file: &str, count| {
            let mut reader = csv::Reader::from_path(data.join(file)).ok()?;
            let rows: Result<Vec<_>, _> = reader.records().take(count).collect();
            rows.ok()
        };
        let shops = rows("stores/stores_china.csv", OUTLETS)?;
        let products = rows("products/products_cn_gtin13.csv", PRODUCTS)?;
        Some(Self {
            shops: shops.iter().map(|row| (row[1].to_owned(), row[2].to_owned())).collect(),
            products: products.iter().map(|row| row[1].to_owned()).collect(),
        })
    }

    fn company(&self) -> Company {
        let mut company = Company::default();
        let top = company.unit("HQ", "总公司", UnitType::Company, None);
        let region = company.unit("R1", "华北大区", UnitType::Region, Some(top));
        let team = company.position("T1", "理货员", region, Role::Merchandiser);
        company.person("S001", "王芳", team);
        for ((name, address), n) in self.shops.iter().zip(0..) {
            let (code, unit) = (code(n), Some(region));
            let position_e7 = Some((399_042_000 + 7_919 * n, 1_164_074_000 - 6_101 * n));
            let outlet =
                company.outlet(NewOutlet { code: &code, name, address: Some(address), unit, position_e7 });
            company.assign(outlet, team, Day(today().0 - 365));
        }
        for (name, n) in self.products.iter().zip(0..) {
            company.product(product(n), name);
        }
        company
    }
}

fn code(n: i64) -> String {
    format!("S{n:04}")
}

/// The cost of one call.
struct Cost {
    bytes_up: u64,
    bytes_down: u64,
    round_trips: f64,
}

/// Measures the cost of one device's calls.
struct Meter {
    relay: Relay,
    one_way: Duration,
}

impl Meter {
    async fn cost(&self, call: impl Future<Output = ()>) -> Cost {
        self.relay.take_bytes();
        self.relay.take_bytes_up();
        let begun = Instant::now();
        call.await;
        let took = begun.elapsed();
        let bytes_up = self.relay.take_bytes_up();
        Cost {
            bytes_up,
            bytes_down: self.relay.take_bytes() - bytes_up,
            round_trips: took.as_secs_f64() / (2.0 * self.one_way.as_secs_f64()),
        }
    }
}

/// Records visits of yesterday, one after the other.
fn work(device: &Device, visits: std::ops::Range<i64>) {
    device.clock.set(Day(today().0 - 1), 0);
    for n in visits {
        let outlet = device.client.outlet_named(&code(n)).expect("on the device");
        let opened_at_ms = device.clock.read_ms() + FIRST_VISIT_MS + n * BETWEEN_VISITS_MS;
        device.client.record(&bundle(outlet, opened_at_ms, LINES)).expect("recorded");
    }
}

/// Measures a first sync, a sync with nothing new, a push of one visit, a sync with the rest of the day, and the first
/// sync of the next day, which has nothing new and reconciles.
async fn costs(texts: &Texts, one_way: Duration) -> [Cost; 5] {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), 0).await.expect("a folder of our own and free ports");
    serving.server().write(texts.company().into_drafts(), "test", now_ms()).expect("headquarters may");
    let relay = Relay::far(serving.address(), one_way).await;
    let invitation = invitation(serving.server(), relay.address, "S001", HOUR_MS);
    let device = Device::enrol(&invitation, "phone").await;
    let meter = Meter { relay, one_way };
    let sync = async || assert_eq!(device.sync().await.rejected, 0);

    let first = meter.cost(sync()).await;
    let nothing_new = meter.cost(sync()).await;
    work(&device, 0..1);
    let push = meter.cost(async {
        device.client.push(|_| {}).await.expect("pushed");
    });
    let push = push.await;
    work(&device, 1..VISITS);
    let day = meter.cost(sync()).await;
    assert_eq!(device.client.status().expect("readable").unsent_ops, 0);
    device.clock.advance_ms(24 * HOUR_MS);
    let check = async || assert_eq!(device.client.sync(|_| {}).await.expect("synced").records_repaired, 0);
    let check = meter.cost(check()).await;
    drop(serving.stop().await);
    [first, nothing_new, push, day, check]
}

/// The bounds are the measured figures plus a third.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_costs_few_bytes() {
    let costs = costs(&Texts::made_up(), Duration::ZERO).await;
    let bounds =
        [("first sync", 48_000), ("nothing new", 6_000), ("push", 6_300), ("day", 8_400), ("check", 6_200)];
    for (cost, (what, bytes_max)) in costs.iter().zip(bounds) {
        let bytes = cost.bytes_up + cost.bytes_down;
        assert!(bytes <= bytes_max, "{what}: {} bytes up, {} down", cost.bytes_up, cost.bytes_down);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, which docs/INTEGRATE.md quotes"]
async fn what_a_sync_costs() {
    let texts = Texts::public().expect("the public data beside the workspace");
    let costs = costs(&texts, FAR_ONE_WAY).await;
    for (what, Cost { bytes_up, bytes_down, round_trips }) in
        ["first", "nothing new", "push", "day", "check"].iter().zip(costs)
    {
        println!("{what}: {bytes_up} bytes up, {bytes_down} down, {round_trips:.2} round trips");
    }
}
