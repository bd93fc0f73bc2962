//! Commands and flags. The exit codes below `--help` come from the one list in `exit`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::agent::confine::Cell;
use crate::cause::Cause;
use crate::exit::Exit;
use crate::record::schema::Kind;
use crate::units::{Count, Period, Ports};

/// Hold a million and more TCP connections on one machine, and account for every one.
#[derive(Debug, Parser)]
#[command(name = "c1m-lab", version, after_help = Exit::table(), max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The commands that are for users: what a manual page or a shell should offer.
    pub fn shown() -> clap::Command {
        let all = Cli::command();
        let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
        clap::Command::new("c1m-lab")
            .version(env!("CARGO_PKG_VERSION"))
            .about(all.get_about().cloned().unwrap_or_default())
            .after_help(Exit::table())
            .disable_help_subcommand(true)
            .subcommands(shown)
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build the lab, open the connections, hold them, report, and leave the host as it was
    Up(UpArgs),
    /// Run, lift the limit that bit, run again, until every connection stands; prints the ladder
    Climb(ClimbArgs),
    /// Show everything `up` would do; needs no root and touches nothing
    Plan(PlanArgs),
    /// Show what this host allows, what a lab needs of it, and the remedy where it falls short
    Check(CheckArgs),
    /// Take a lab down, whatever its runner left standing, also after a reboot
    Down(DownArgs),
    /// Show the labs that stand
    Status(StatusArgs),
    /// Run a command inside a node of a standing lab
    Exec(ExecArgs),
    /// The server alone, by hand: accept, echo and hold
    ///
    /// Ctrl-C ends it, with what it accepted.
    Server(ServerArgs),
    /// The client alone, by hand: open connections and hold them
    ///
    /// The exit code is 1 if a connection failed, was lost or was not tried. Ctrl-C ends it in order.
    Client(ClientArgs),
    /// Tell of a cause that keeps connections from being there, or list all causes
    Explain(ExplainArgs),
    /// Print the JSON Schema of lab files, for editors, or of what a run leaves
    Schema(SchemaArgs),
    /// Print what a shell needs to complete commands and flags
    Completions(CompletionsArgs),
    /// A process inside a node; started by the others
    #[command(hide = true)]
    Agent(Cell),
    /// The keeper of a machine of the lab; started through ssh
    #[command(hide = true)]
    Steward(StewardArgs),
    /// Write the pages of docs/ that are rendered from the code
    #[command(hide = true)]
    Docs(DocsArgs),
    /// Write the manual pages, for packages
    #[command(hide = true)]
    Man(DocsArgs),
}

/// The lab file, and what differs from it this time.
#[derive(Args, Clone, Debug, Default)]
pub struct LabArgs {
    /// The lab file
    #[arg(default_value = "lab.yaml")]
    pub file: PathBuf,
    /// Connections to hold: 10K, 1M, or `fit`: as many as this machine's memory and limits carry
    #[arg(long, value_name = "N|fit")]
    pub connections: Option<String>,
    /// How long to hold them: 30s, 2m, 0s
    #[arg(long, value_name = "TIME")]
    pub hold: Option<String>,
    /// Set any key of the lab file, as often as needed: --set traffic.kind=echo
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

#[derive(Args, Clone, Debug, Default)]
pub struct UpArgs {
    #[command(flatten)]
    pub lab: LabArgs,
    /// Where plan.json, events.jsonl and report.json go [default: runs/<name>-<time>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print the report as JSON on stdout; the progress goes to stderr
    #[arg(long)]
    pub json: bool,
    /// Write the result as JUnit XML too: the run and each expectation is a test case
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Leave the lab standing after the hold, until Ctrl-C or `down`
    #[arg(long)]
    pub keep: bool,
    /// Let the lab set limits of the whole host lower, for the time of the run
    #[arg(long)]
    pub lower_host_limits: bool,
    /// Let the lab set this setting of the whole host, or of a machine of its own, though it is on no list of those that
    /// a lab can need; as often as needed
    #[arg(long, value_name = "KEY")]
    pub allow_host_setting: Vec<String>,
    /// Start the lab's virtual machines where they do not run: `driver: vagrant`
    #[arg(long)]
    pub start_machines: bool,
    /// Say nothing but errors, and what of the lab file can run commands on this host
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Args, Clone, Debug)]
pub struct ClimbArgs {
    #[command(flatten)]
    pub lab: LabArgs,
    /// Where ladder.json and the folder of each step go [default: runs/<name>-climb-<time>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Let the lab set limits of the whole host lower, for the time of each run
    #[arg(long)]
    pub lower_host_limits: bool,
    /// Let the lab set this setting of the whole host, as `up` does
    #[arg(long, value_name = "KEY")]
    pub allow_host_setting: Vec<String>,
    /// Start the lab's virtual machines where they do not run
    #[arg(long)]
    pub start_machines: bool,
    /// Show each run as `up` does
    #[arg(short, long)]
    pub verbose: bool,
}

#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// The cause, as a report names it
    pub cause: Option<Cause>,
}

#[derive(Args, Clone, Debug)]
pub struct SchemaArgs {
    /// What it describes
    #[arg(value_enum, default_value_t)]
    pub of: Kind,
}

#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    #[command(flatten)]
    pub lab: LabArgs,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
    /// Reach the machines of a lab that has some, and ask what they are; without it they are left alone
    #[arg(long)]
    pub ask_machines: bool,
}

#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// A lab file to check the host for
    pub file: Option<PathBuf>,
    /// Print the facts as JSON
    #[arg(long)]
    pub json: bool,
    /// Reach the machines of the lab file, and ask what they allow; without it they are left alone
    #[arg(long, requires = "file")]
    pub ask_machines: bool,
}

#[derive(Args, Clone, Debug)]
pub struct DownArgs {
    /// The lab's name; not needed when only one stands. With --vms: its lab file
    pub lab: Option<String>,
    /// Take down every lab that stands
    #[arg(long, conflicts_with = "lab")]
    pub all: bool,
    /// Destroy the virtual machines of a lab file whose driver is `vagrant`, after its lab was taken down
    #[arg(long, requires = "lab", conflicts_with = "all")]
    pub vms: bool,
}

#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Clone, Debug)]
pub struct ExecArgs {
    /// The node: server, client-1 … , or LAB/NODE when several labs stand
    pub node: String,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    pub command: Vec<String>,
}

#[derive(Args, Clone, Debug)]
pub struct StewardArgs {
    /// Say only which program this is
    #[arg(long)]
    pub fingerprint: bool,
    /// How ssh came here, as SSH_CONNECTION has it
    #[arg(long)]
    pub reached: Option<String>,
    /// The folder that this program was copied into, to be removed
    #[arg(long)]
    pub temporary: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub struct DocsArgs {
    /// Where they go
    pub dir: PathBuf,
}

#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// The ports to listen on: 8000, 9900-9999
    #[arg(long, default_value = "9900-9999")]
    pub ports: Ports,
    /// The address to listen on
    #[arg(long, default_value = "0.0.0.0")]
    pub address: IpAddr,
    /// How many connections may wait to be accepted on each port
    #[arg(long, default_value_t = 65_536)]
    pub backlog: u32,
}

#[derive(Args, Clone, Debug)]
pub struct ClientArgs {
    /// The server's address
    pub server: IpAddr,
    /// The first port the server listens on
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub first_port: u16,
    /// How many ports it listens on, counted from the first: 100 for 9900-9999
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    pub ports: u16,
    /// How many connections to open
    #[arg(long, default_value = "1M")]
    pub connections: Count,
    /// The first of the source addresses to use [default: the system chooses address and port]
    #[arg(long)]
    pub source: Option<IpAddr>,
    /// How many source addresses, from the first
    #[arg(long, default_value_t = 1, requires = "source")]
    pub sources: u32,
    /// How long an attempt may take
    #[arg(long, default_value = "10s")]
    pub timeout: Period,
    /// How long to hold the connections; without it, until Ctrl-C or until none is left
    #[arg(long)]
    pub hold: Option<Period>,
}
