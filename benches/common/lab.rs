//! Running the lab itself, as a user would, and reading what it says.

use serde::Deserialize;
use std::env;
use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

/// Longer than any measured run by far. The lab is interrupted then, so that it still cleans up.
const LONGEST_RUN: &str = "300";

/// The part of the lab's JSON that the benches need.
#[derive(Deserialize)]
pub struct LabOutcome {
    pub established: u64,
    #[allow(dead_code, reason = "`drain` takes its own times")]
    pub seconds: Seconds,
    #[allow(dead_code, reason = "only `ramp` prints the processes")]
    pub server: Processes,
    #[allow(dead_code, reason = "only `ramp` prints the processes")]
    pub clients: Processes,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "each bench looks at other phases")]
pub struct Seconds {
    pub build: f64,
    pub ramp: f64,
    pub down: f64,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "only `ramp` prints the processes")]
pub struct Processes {
    pub processes: u64,
}

/// The lab that is compared: one server, two clients, every five-tuple planned.
#[allow(dead_code, reason = "`build` has a lab of its own")]
pub fn file_of(name: &str) -> String {
    format!(
        "\
name: {name}
connections: 1000
server:
  ports: 9900-9999
clients:
  count: 2
  addresses: 16
  ports: 1024-65535
hold: 0s
"
    )
}

/// Runs the lab file `yaml` with `connections` and no hold time. Fewer connections than asked are an error:
/// the rate of a run that lost some means nothing.
#[allow(dead_code, reason = "`drain` ends its labs itself")]
pub fn run(yaml: &str, connections: u64) -> Result<LabOutcome> {
    let place = TemporaryFolder::make()?;
    let file = place.0.join("lab.yaml");
    fs::write(&file, yaml)?;
    let output = Command::new("timeout")
        .args(["--signal=INT", "--kill-after=60", LONGEST_RUN, env!("CARGO_BIN_EXE_c1m-lab"), "up"])
        .arg(&file)
        .args(["--connections", &connections.to_string(), "--hold", "0s", "--json", "--out"])
        .arg(place.0.join("out"))
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(Error::other(format!("c1m-lab up: {}", output.status)));
    }
    let outcome: LabOutcome = serde_json::from_slice(&output.stdout)?;
    match outcome.established {
        established if established == connections => Ok(outcome),
        established => {
            Err(Error::other(format!("{established} of {connections} connections were established")))
        }
    }
}

/// The middle one; of an even number the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}

pub struct TemporaryFolder(pub PathBuf);

impl TemporaryFolder {
    pub fn make() -> Result<TemporaryFolder> {
        let path: &Path = &env::temp_dir().join(format!("c1m-lab-bench-{}", process::id()));
        fs::create_dir(path)?;
        Ok(TemporaryFolder(path.into()))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} could not be removed: {error}", self.0.display());
        }
    }
}
