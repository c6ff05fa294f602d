//! Our figures as ratios to the peers' figures of the same run, judged by the bounds of the first issue: the rows
//! marked `[1]` in `../shared/BUDGETS.md`.

use serde_json::Value;

/// The value that a figure is compared with.
enum Against {
    /// A peer's figure of the same name.
    Peer(&'static str),
    /// A fixed limit in the figure's own unit.
    Fixed(f64),
}

/// The side of the bound on which the ratio must be.
#[derive(Clone, Copy, PartialEq)]
enum Sense {
    AtMost,
    AtLeast,
}

/// A row of the budget.
struct Bound {
    what: &'static str,
    /// Whether the row is about the run with one device, or the run with many.
    alone: bool,
    figure: &'static str,
    against: Against,
    sense: Sense,
    bound: f64,
}

const fn row(
    what: &'static str,
    alone: bool,
    figure: &'static str,
    against: Against,
    sense: Sense,
    bound: f64,
) -> Bound {
    Bound { what, alone, figure, against, sense, bound }
}

const MB: f64 = 1e6;

/// The bounds. The budget gives no size for a view, so both sizes are judged.
const BOUNDS: [Bound; 13] = {
    use Against::{Fixed, Peer};
    use Sense::{AtLeast, AtMost};
    [
        row("save p50, one device", true, "save_p50_us", Peer("sql"), AtMost, 1.3),
        row("save p99, one device", true, "save_p99_us", Peer("sql"), AtMost, 1.3),
        row("save p50, many devices", false, "save_p50_us", Peer("sql"), AtMost, 1.3),
        row("save p99, many devices", false, "save_p99_us", Peer("sql"), AtMost, 1.3),
        row("push, one device, visits/s", true, "push_vs", Peer("sql"), AtLeast, 1.5),
        row("push, many devices, visits/s", false, "push_vs", Peer("sql"), AtLeast, 1.0),
        row("bytes up, one device", true, "up", Peer("floor"), AtMost, 1.7),
        row("pull, one device, s", true, "pull_s", Peer("sql"), AtMost, 1.0),
        row("server memory, many devices, MB", false, "srv_rss", Fixed(100.0 * MB), AtMost, 1.0),
        row("view warm, one device, ms", true, "view_warm_ms", Peer("sql"), AtMost, 0.2),
        row("view warm, many devices, ms", false, "view_warm_ms", Peer("sql"), AtMost, 0.2),
        row("view cold, one device, ms", true, "view_cold_ms", Peer("sql"), AtMost, 0.2),
        row("view cold, many devices, ms", false, "view_cold_ms", Peer("sql"), AtMost, 0.2),
    ]
};

/// The result of one row.
pub(super) struct Verdict {
    what: &'static str,
    ours: Option<f64>,
    theirs: Option<f64>,
    against: &'static str,
    sense: Sense,
    bound: f64,
}

impl Verdict {
    fn ratio(&self) -> Option<f64> {
        Some(self.ours? / self.theirs.filter(|theirs| *theirs > 0.0)?)
    }

    /// Whether the figure was measured and is within its bound.
    pub(super) fn is_kept(&self) -> bool {
        self.ratio().is_some_and(|ratio| match self.sense {
            Sense::AtMost => ratio <= self.bound,
            Sense::AtLeast => ratio >= self.bound,
        })
    }
}

/// Judges the medians of a run against the bounds.
pub(super) fn judge(results: &Value) -> Vec<Verdict> {
    BOUNDS.iter().map(|bound| verdict(results, bound)).collect()
}

fn verdict(results: &Value, bound: &Bound) -> Verdict {
    let size = size_of(results, bound.alone);
    let median = |peer: &str| results["peers"][peer][size.as_str()]["median"][bound.figure].as_f64();
    let (theirs, against) = match bound.against {
        Against::Peer(peer) => (median(peer), peer),
        Against::Fixed(limit) => (Some(limit), "limit"),
    };
    let ours = median("xundian");
    Verdict { what: bound.what, ours, theirs, against, sense: bound.sense, bound: bound.bound }
}

/// Returns the name of the run with one device, or of the one with many: `1x2000` or `20x200`. The harness also
/// makes a small input of one device to count syncs; that run has no median.
fn size_of(results: &Value, alone: bool) -> String {
    let sizes = results["peers"]["xundian"].as_object();
    let of_runs = sizes.into_iter().flatten().filter(|(_, run)| run["median"].is_object());
    let mut names = of_runs.map(|(name, _)| name).filter(|name| name.starts_with("1x") == alone);
    names.next().cloned().unwrap_or_default()
}

/// Formats the verdicts as a table.
pub(super) fn table(verdicts: &[Verdict]) -> String {
    let mut text = String::from("| [1] | ours | beside | ratio | bound | |\n|---|---|---|---|---|---|\n");
    for verdict in verdicts {
        let number = |number: Option<f64>| number.map_or_else(|| "not measured".into(), short);
        let sign = if verdict.sense == Sense::AtMost { "≤" } else { "≥" };
        text.push_str(&format!(
            "| {} | {} | {} {} | {} | {sign} {} × | {} |\n",
            verdict.what,
            number(verdict.ours),
            verdict.against,
            number(verdict.theirs),
            verdict.ratio().map_or_else(|| "–".into(), |ratio| format!("{ratio:.2}")),
            verdict.bound,
            if verdict.is_kept() { "pass" } else { "MISS" },
        ));
    }
    text
}

/// Formats a number: as megabytes if it is large enough to be a number of bytes.
fn short(number: f64) -> String {
    match number {
        n if n >= MB => format!("{:.1} MB", n / MB),
        n if n >= 100.0 => format!("{n:.0}"),
        n => format!("{n:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_ratio_is_judged_by_its_sense() {
        let run = |push: f64, save: f64| json!({ "median": { "push_vs": push, "save_p50_us": save } });
        let results = json!({ "peers": {
            "xundian": { "1x2000": run(3000.0, 130.0), "version": "x" },
            "sql": { "1x2000": run(2000.0, 101.0) },
        } });
        let verdicts = judge(&results);
        let of = |what: &str| verdicts.iter().find(|verdict| verdict.what.starts_with(what)).expect("a row");
        assert!(of("push, one").is_kept() && of("save p50, one").is_kept());
        assert!(!of("pull").is_kept(), "a figure that was not measured must not pass");
        assert_eq!(of("push, one").ratio(), Some(1.5));
    }
}
