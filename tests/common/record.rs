//! Whether a run's record comes to the report that the run itself has written.

use std::path::Path;

use c1m_lab::record::{self, schema::Kind};
use serde_json::Value;

#[path = "schema.rs"]
mod schema;

/// Reads the folder of a run back. A run that was killed, refused or could not write all its events has no record to
/// compare with.
pub fn compare(folder: &Path) -> Result<(), String> {
    let there = |name: &str| folder.join(name).is_file();
    if ![record::PLAN, record::EVENTS, record::REPORT].into_iter().all(there) {
        return Ok(());
    }
    let read = record::read(folder).map_err(|error| error.to_string())?;
    let report = record::read_report(folder).map_err(|error| error.to_string())?;
    let again = read.report();
    if !read.is_whole || again.origin.began != report.origin.began {
        return Ok(());
    }
    if again != report {
        return Err(format!("it comes to something else: {again:#?}\ninstead of {report:#?}"));
    }
    let parts = [(Kind::Plan, record::PLAN), (Kind::Events, record::EVENTS), (Kind::Report, record::REPORT)];
    for (kind, name) in parts {
        let schema = kind.schema();
        let text = std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string())?;
        // Only events are lines.
        let values: Vec<&str> = if kind == Kind::Events { text.lines().collect() } else { vec![&text] };
        for value in values {
            let value: Value = serde_json::from_str(value).map_err(|error| format!("{name}: {error}"))?;
            let faults = schema::faults(&schema, &value);
            if !faults.is_empty() {
                return Err(format!("{name} is not what its schema says: {faults:?}"));
            }
        }
    }
    Ok(())
}
