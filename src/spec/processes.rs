//! How many processes share a work: `auto`, or a number.

use std::fmt;
use std::str::FromStr;

use crate::units::{BadUnit, quoted, text_form};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processes {
    #[default]
    Auto,
    Count(u32),
}

impl FromStr for Processes {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        match (text, text.parse::<u32>()) {
            ("auto", _) => Ok(Processes::Auto),
            (_, Ok(count)) if count > 0 => Ok(Processes::Count(count)),
            _ => {
                let why = format!("{} is not a number of processes", quoted(text));
                Err(BadUnit { why, remedy: "write `auto`, or a number from 1".into() })
            }
        }
    }
}

impl fmt::Display for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Processes::Auto => f.pad("auto"),
            Processes::Count(count) => f.pad(&count.to_string()),
        }
    }
}

text_form!(Processes, "`auto` or a number such as 2", {
    "type": ["integer", "string"],
    "minimum": 1,
    "pattern": "^(auto|[1-9][0-9]*)$",
    "examples": ["auto", 2]
});
