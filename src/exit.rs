//! How a command ends: the one list that `--help`, the README and the code share.

/// The exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Expectation = 1,
    Input = 2,
    Host = 3,
    Broke = 4,
    Leftover = 5,
}

impl Exit {
    pub const ALL: [Exit; 6] =
        [Exit::Done, Exit::Expectation, Exit::Input, Exit::Host, Exit::Broke, Exit::Leftover];

    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done, and all expectations met",
            Exit::Expectation => "an expectation was not met",
            Exit::Input => "the lab file or the arguments are wrong",
            Exit::Host => "this host cannot do it",
            Exit::Broke => "the run broke",
            Exit::Leftover => "something could not be taken down",
        }
    }

    /// The table shown below `--help`.
    pub fn table() -> String {
        let rows: Vec<String> =
            Exit::ALL.iter().map(|exit| format!("  {}  {}", exit.code(), exit.meaning())).collect();
        format!("Exit codes:\n{}", rows.join("\n"))
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit.code())
    }
}
