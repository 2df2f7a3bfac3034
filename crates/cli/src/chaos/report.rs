//! What a run found, for people and for programs.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use super::{driver::Finished, findings::Violation, plan::Plan};
use crate::{
    console::{print_document, print_line},
    exit::Failure,
};

/// How long a cooperative handler may take to stop after a cancel, in milliseconds. Slower ones break no rule, but hold
/// their slot and their device for nothing.
const CANCEL_MS_MAX: f64 = 50.0;

/// The report.
pub(super) struct Report {
    document: Value,
    text: String,
    json: bool,
    is_clean: bool,
}

impl Report {
    pub(super) fn of(plan: &Plan, finished: Finished, took: Duration) -> Self {
        let faults: BTreeMap<&str, u32> =
            finished.faults.iter().map(|(fault, rounds)| (fault.name(), *rounds)).collect();
        let mut notes: Vec<String> = finished.ledger.findings.notes().iter().map(counted).collect();
        let mut cancels: Vec<f64> = finished.ledger.cancels.iter().map(|took| took.as_secs_f64() * 1e3).collect();
        cancels.sort_by(f64::total_cmp);
        let slowest = cancels.last().copied();
        if let Some(slowest) = slowest.filter(|slowest| *slowest > CANCEL_MS_MAX) {
            let slow = cancels.iter().filter(|took| **took > CANCEL_MS_MAX).count();
            notes.push(format!(
                "{slow} of {} cancels took more than {CANCEL_MS_MAX} ms, the slowest {slowest:.0} ms",
                cancels.len()
            ));
        }
        notes.extend(plan.skipped.iter().cloned());
        let violations = finished.ledger.findings.violations();
        let document = json!({
            "seed": plan.seed, "rounds": plan.rounds, "seconds": took.as_secs_f64(), "jobs": finished.jobs,
            "connections": finished.connections, "processes": finished.processes,
            "faults": faults, "results": finished.ledger.ends, "slowest_cancel_ms": slowest,
            "violation_count": finished.ledger.findings.count(),
            "violations": violations.iter().map(|violation| shown(violation, plan)).collect::<Vec<_>>(),
            "notes": notes,
        });
        let text = text(plan, &finished, took, &notes);
        Self { document, text, json: plan.json, is_clean: finished.ledger.findings.count() == 0 }
    }

    /// Whether the contract was kept.
    pub(super) fn is_clean(&self) -> bool {
        self.is_clean
    }

    /// Prints it on stdout.
    pub(super) fn print(&self) -> Result<(), Failure> {
        if self.json { print_document(&self.document, false) } else { print_line(self.text.trim_end()) }
    }
}

fn counted((note, count): (&String, &u64)) -> String {
    if *count == 1 { note.clone() } else { format!("{note} ({count} times)") }
}

fn shown(violation: &Violation, plan: &Plan) -> Value {
    let mut shown = json!(violation);
    if let Some(object) = shown.as_object_mut() {
        object.insert("replay".to_owned(), plan.replay(violation.seed).into());
    }
    shown
}

fn text(plan: &Plan, finished: &Finished, took: Duration, notes: &[String]) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<24}{value}");
    };
    row("seed", plan.seed.to_string());
    row("rounds", format!("{} in {:.1} s", plan.rounds, took.as_secs_f64()));
    row("jobs", finished.jobs.to_string());
    row("connections", finished.connections.to_string());
    row("processes", finished.processes.to_string());
    for (fault, rounds) in &finished.faults {
        row(&format!("  {}", fault.name()), rounds.to_string());
    }
    for (status, count) in &finished.ledger.ends {
        row(&format!("  {}", status.trim_start_matches("JOB_STATUS_")), count.to_string());
    }
    row("violations", finished.ledger.findings.count().to_string());
    for violation in finished.ledger.findings.violations() {
        let Violation { rule, seen, fault, round, seed } = violation;
        let _ = writeln!(text, "{rule}: {seen}\n    round {round} ({fault}), again with: {}", plan.replay(*seed));
    }
    for note in notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}
