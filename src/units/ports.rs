//! `PortRange` and `Ports`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::bad_unit::{BadUnit, quoted};
use super::text_form;

/// Ports from `first` to `last`, both included: `1024-65535`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

/// Several ranges of which none holds a port of another: `9900-9999`, or `[80, 9900-9999]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ports(pub Vec<PortRange>);

const REMEDY: &str = "write it like 9900 or 9900-9999";

#[allow(clippy::len_without_is_empty, reason = "a range holds at least one port")]
impl PortRange {
    pub fn len(&self) -> usize {
        self.iter().len()
    }

    pub fn iter(&self) -> RangeInclusive<u16> {
        self.first..=self.last
    }

    pub fn nth(&self, index: usize) -> Option<u16> {
        self.iter().nth(index)
    }

    /// As the kernel writes it in its settings: `32768 60999`.
    pub fn of_setting(text: &str) -> Option<PortRange> {
        let ports: Vec<u16> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        match ports[..] {
            [first, last] if first > 0 && first <= last => Some(PortRange { first, last }),
            _ => None,
        }
    }

    pub fn contains(&self, port: u16) -> bool {
        self.iter().contains(&port)
    }
}

impl Ports {
    /// Adds a range, unless one of its ports is there already.
    fn add(&mut self, range: PortRange) -> Result<(), BadUnit> {
        if let Some(other) =
            self.0.iter().find(|other| other.first <= range.last && range.first <= other.last)
        {
            let port = range.first.max(other.first);
            let why = format!("port {port} stands in {other} and again in {range}");
            return Err(BadUnit::new(why, "name every port once"));
        }
        self.0.push(range);
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(PortRange::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every port, in the order written.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().flat_map(PortRange::iter)
    }

    pub fn nth(&self, mut index: usize) -> Option<u16> {
        for range in &self.0 {
            if index < range.len() {
                return range.nth(index);
            }
            index -= range.len();
        }
        None
    }
}

impl FromStr for PortRange {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let port = |part: &str| read_port(part, text);
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(text)?, port(text)?),
        };
        if last < first {
            let why = format!("the range {} ends before it begins", quoted(text.trim()));
            return Err(BadUnit::new(why, format!("write {last}-{first}")));
        }
        Ok(PortRange { first, last })
    }
}

/// One port of the range `whole`.
fn read_port(part: &str, whole: &str) -> Result<u16, BadUnit> {
    let part = part.trim();
    let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match part.parse::<u16>() {
        Ok(0) => Err(BadUnit::new(
            "port 0 means \"any free port\" to the kernel: no one could connect to it",
            "choose ports from 1 to 65535, for example 9900-9999",
        )),
        Ok(port) if digits => Ok(port),
        _ if digits => {
            let why = format!("{} is no port: the highest is 65535", quoted(part));
            Err(BadUnit::new(why, "choose ports from 1 to 65535, for example 9900-9999"))
        }
        _ => Err(BadUnit::new(format!("{} is neither a port nor a range of ports", quoted(whole)), REMEDY)),
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl FromStr for Ports {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let mut ports = Ports(Vec::new());
        for range in text.split(',') {
            ports.add(range.parse()?)?;
        }
        Ok(ports)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges: Vec<String> = self.0.iter().map(PortRange::to_string).collect();
        f.write_str(&ranges.join(","))
    }
}

text_form!(PortRange, "a port or a range such as 1024-65535", {
    "type": ["integer", "string"],
    "minimum": 1,
    "maximum": 65535,
    "pattern": r"^[0-9]{1,5}(-[0-9]{1,5})?$",
    "examples": ["1024-65535", 9900]
});

text_form!(schema Ports, {
    "anyOf": [
        { "type": "integer", "minimum": 1, "maximum": 65535 },
        { "type": "string", "pattern": r"^[0-9]{1,5}(-[0-9]{1,5})?(, *[0-9]{1,5}(-[0-9]{1,5})?)*$" },
        {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": ["integer", "string"],
                "minimum": 1,
                "maximum": 65535,
                "pattern": r"^[0-9]{1,5}(-[0-9]{1,5})?$"
            }
        }
    ],
    "examples": ["9900-9999", 9900]
});

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortsVisitor)
    }
}

struct PortsVisitor;

impl<'de> Visitor<'de> for PortsVisitor {
    type Value = Ports;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port, a range such as 9900-9999, or a list of them")
    }

    fn visit_u64<E: de::Error>(self, port: u64) -> Result<Ports, E> {
        self.visit_str(&port.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Ports, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ports, A::Error> {
        let mut ports = Ports(Vec::new());
        while list.next_element_seed(NextRange(&mut ports))?.is_some() {}
        match ports.is_empty() {
            true => Err(de::Error::custom(BadUnit::new("the list of ports is empty", REMEDY))),
            false => Ok(ports),
        }
    }
}

/// Adds one element to the ports read so far, so that a port named twice is an error of that element.
struct NextRange<'a>(&'a mut Ports);

impl<'de> DeserializeSeed<'de> for NextRange<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.add(PortRange::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_counted_and_printed() {
        let ports: Ports = serde_json::from_str(r#"[80, "9900-9999"]"#).unwrap();
        assert_eq!(ports.len(), 101);
        assert_eq!(ports.nth(0), Some(80));
        assert_eq!(ports.nth(100), Some(9999));
        assert_eq!(ports.nth(101), None);
        assert_eq!(ports.iter().count(), 101);
        assert_eq!(ports.to_string(), "80,9900-9999");
        assert_eq!("80,9900-9999".parse(), Ok(ports));
    }

    #[test]
    fn wrong_ports_are_refused() {
        let why = |text: &str| text.parse::<Ports>().unwrap_err().why;
        assert_eq!(why("9999-9900"), "the range `9999-9900` ends before it begins");
        assert_eq!(why("0-10"), "port 0 means \"any free port\" to the kernel: no one could connect to it");
        assert_eq!(why("65536"), "`65536` is no port: the highest is 65535");
        assert_eq!(why("9900-9999,9950"), "port 9950 stands in 9900-9999 and again in 9950");
        for text in ["", "-", "80-", "+80", "http", "1-2-3", "80,"] {
            assert!(why(text).contains("neither a port nor a range"), "{text}");
        }
        assert!(serde_json::from_str::<Ports>("[]").is_err());
    }
}
