//! Reports: one line for each seed, one for all of them.
//!
//! Whole numbers only: the same run prints the same line everywhere. CPU time is the one figure that the seed
//! does not decide; who compares lines byte for byte leaves it at zero.

use std::fmt;
use std::time::Duration;

use crate::checker::Verdict;
use crate::client::Through;
use crate::history::Counts;

/// What one seed showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedReport {
    /// The root seed.
    pub seed: u64,
    /// How the clients spoke to the database.
    pub through: Through,
    /// Simulated time.
    pub simulated: Duration,
    /// Outcomes of the clients' operations.
    pub counts: Counts,
    /// Faults that were really carried out.
    pub faults: usize,
    /// Different kinds among them.
    pub kinds: usize,
    /// Snapshots that took the place of what a replica had.
    pub snapshots: u64,
    /// What all checkers together say.
    pub verdict: Verdict,
    /// Processor time that it took.
    pub cpu: Duration,
}

impl SeedReport {
    /// Why the run is too thin to count as a seed: at least 60 simulated seconds, 2,000 operations with a known
    /// outcome, 5 faults of 3 kinds, and half of all operations ok. A failure of the harness, not of the database.
    pub fn shortfalls(&self) -> Vec<String> {
        let Counts { ok, fail, .. } = self.counts;
        let all = total(self.counts);
        let mut found = Vec::new();
        let mut require = |holds: bool, what: String| {
            if !holds {
                found.push(what);
            }
        };
        let simulated = self.simulated;
        require(
            simulated >= Duration::from_secs(60),
            format!("only {} simulated", Tenths(simulated)),
        );
        require(ok + fail >= 2_000, format!("only {} operations completed", Grouped(ok + fail)));
        require(self.faults >= 5, format!("only {} faults", self.faults));
        require(self.kinds >= 3, format!("only {} kinds of faults", self.kinds));
        require(ok * 2 >= all, format!("only {} ok", Share(ok, all)));
        found
    }
}

impl fmt::Display for SeedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, through) = (self.seed, self.through.name());
        write!(f, "seed {seed} through {through}: {} simulated, ", Tenths(self.simulated))?;
        write!(f, "{}, {} faults of {} kinds, ", Outcomes(self.counts), self.faults, self.kinds)?;
        if self.snapshots > 0 {
            write!(f, "{} snapshots, ", self.snapshots)?;
        }
        match &self.verdict {
            Verdict::Unknown(why) => write!(f, "UNKNOWN ({why})")?,
            other => write!(f, "{} violations", other.violations().len())?,
        }
        write!(f, ", {} operations per CPU-second", per_second(self.counts, self.cpu))
    }
}

/// What all seeds of a run showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Seeds run.
    pub seeds: u64,
    /// Simulated time of all.
    pub simulated: Duration,
    /// Outcomes of all.
    pub counts: Counts,
    /// Violations of all.
    pub violations: u64,
    /// Seeds with at least one violation.
    pub violated: Vec<u64>,
    /// Seeds about which a checker could not tell.
    pub unknown: Vec<u64>,
    /// Seeds that were too thin to count.
    pub short: Vec<u64>,
    /// Processor time of all.
    pub cpu: Duration,
}

impl Summary {
    /// Adds a seed.
    pub fn add(&mut self, report: &SeedReport) {
        self.seeds += 1;
        self.simulated += report.simulated;
        self.counts.ok += report.counts.ok;
        self.counts.fail += report.counts.fail;
        self.counts.info += report.counts.info;
        self.cpu += report.cpu;
        self.violations += report.verdict.violations().len() as u64;
        match report.verdict {
            Verdict::Valid => {}
            Verdict::Invalid(_) => self.violated.push(report.seed),
            Verdict::Unknown(_) => self.unknown.push(report.seed),
        }
        if !report.shortfalls().is_empty() {
            self.short.push(report.seed);
        }
    }

    /// True iff every seed counts and is valid.
    pub fn is_clean(&self) -> bool {
        self.violated.is_empty() && self.unknown.is_empty() && self.short.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.simulated.as_secs() / 360;
        write!(f, "{} seeds, {}.{} simulated hours, ", self.seeds, tenths / 10, tenths % 10)?;
        write!(f, "{}, {} violations, ", Outcomes(self.counts), self.violations)?;
        write!(f, "{} operations per CPU-second", per_second(self.counts, self.cpu))?;
        let lists =
            [("VIOLATED", &self.violated), ("UNKNOWN", &self.unknown), ("TOO THIN", &self.short)];
        for (name, seeds) in lists {
            if !seeds.is_empty() {
                let shown: Vec<String> = seeds.iter().take(20).map(u64::to_string).collect();
                let more = if seeds.len() > shown.len() { ", …" } else { "" };
                write!(f, "\n{name} ({} seeds): {}{more}", seeds.len(), shown.join(", "))?;
            }
        }
        Ok(())
    }
}

fn total(counts: Counts) -> u64 {
    counts.ok + counts.fail + counts.info
}

/// A dash where no time was measured.
fn per_second(counts: Counts, cpu: Duration) -> String {
    let rate = u128::from(total(counts)) * 1_000_000_000;
    match rate.checked_div(cpu.as_nanos()) {
        Some(rate) => Grouped(u64::try_from(rate).unwrap_or(u64::MAX)).to_string(),
        None => "-".to_owned(),
    }
}

struct Outcomes(Counts);

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { ok, fail, info } = self.0;
        let all = total(self.0);
        write!(f, "{} operations (", Grouped(all))?;
        write!(f, "ok {}, ", Share(ok, all))?;
        write!(f, "failed {}, unknown {})", Share(fail, all), Share(info, all))
    }
}

/// A part of a whole in percent, rounded to tenths.
struct Share(u64, u64);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.1.max(1);
        let tenths = (self.0 * 1_000 + whole / 2) / whole;
        write!(f, "{}.{} %", tenths / 10, tenths % 10)
    }
}

/// Seconds, cut to tenths.
struct Tenths(Duration);

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} s", self.0.as_secs(), self.0.subsec_millis() / 100)
    }
}

/// A number with a comma before every three digits.
struct Grouped(u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1_000 {
            return write!(f, "{}", self.0);
        }
        write!(f, "{},{:03}", Grouped(self.0 / 1_000), self.0 % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdict: Verdict) -> SeedReport {
        SeedReport {
            seed: 42,
            through: Through::Sql,
            simulated: Duration::from_millis(75_250),
            counts: Counts { ok: 2_000, fail: 300, info: 100 },
            faults: 14,
            kinds: 7,
            snapshots: 0,
            verdict,
            cpu: Duration::from_millis(1_500),
        }
    }

    #[test]
    fn a_seed_is_one_line() {
        assert_eq!(
            report(Verdict::Valid).to_string(),
            "seed 42 through sql: 75.2 s simulated, 2,400 operations (ok 83.3 %, failed 12.5 %, unknown 4.2 %), \
             14 faults of 7 kinds, 0 violations, 1,600 operations per CPU-second"
        );
        let report_of = SeedReport { snapshots: 3, ..report(Verdict::Valid) };
        assert!(report_of.to_string().contains(" 7 kinds, 3 snapshots, 0 violations"));
        let unknown = report(Verdict::Unknown("no final read".into()));
        assert!(unknown.to_string().contains(", UNKNOWN (no final read), "));
        let unmeasured = SeedReport { cpu: Duration::ZERO, ..unknown };
        assert!(unmeasured.to_string().ends_with(", - operations per CPU-second"));
    }

    #[test]
    fn a_thin_seed_says_why() {
        assert_eq!(report(Verdict::Valid).shortfalls(), [""; 0]);
        let thin = SeedReport {
            simulated: Duration::from_millis(59_900),
            counts: Counts { ok: 900, fail: 1_000, info: 100 },
            faults: 4,
            kinds: 2,
            ..report(Verdict::Valid)
        };
        let expected = [
            "only 59.9 s simulated",
            "only 1,900 operations completed",
            "only 4 faults",
            "only 2 kinds of faults",
            "only 45.0 % ok",
        ];
        assert_eq!(thin.shortfalls(), expected);
    }

    #[test]
    fn a_summary_adds_up_and_names_the_bad_seeds() {
        let mut summary = Summary::default();
        for seed in 0..500 {
            summary.add(&SeedReport { seed, ..report(Verdict::Valid) });
        }
        assert!(summary.is_clean());
        assert_eq!(
            summary.to_string(),
            "500 seeds, 10.4 simulated hours, 1,200,000 operations \
             (ok 83.3 %, failed 12.5 %, unknown 4.2 %), 0 violations, 1,600 operations per CPU-second"
        );
        summary.add(&report(Verdict::Invalid(vec!["a".into(), "b".into()])));
        summary.add(&SeedReport { seed: 43, faults: 0, ..report(Verdict::Unknown("c".into())) });
        assert!(!summary.is_clean() && summary.violations == 2);
        let text = summary.to_string();
        let expected = "VIOLATED (1 seeds): 42\nUNKNOWN (1 seeds): 43\nTOO THIN (1 seeds): 43";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn nothing_divides_by_nothing() {
        let text = Summary::default().to_string();
        assert!(text.starts_with("0 seeds, 0.0 simulated hours, 0 operations (ok 0.0 %"), "{text}");
    }
}
