//! What ssh complains about, in words that say what to do.

use crate::error::Error;
use crate::reach::pipe::ended_with;

/// What ssh's exit code is when it is ssh that failed, not the command on the other side.
const OF_SSH: i32 = 255;

/// Words of ssh, why that is, and what to do.
const KNOWN: [(&str, &str, &str); 9] = [
    (
        "Host key verification failed",
        "its host key is not known, or is another than the known one",
        "compare the key and let ssh learn it: run the ssh command once by hand",
    ),
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "its host key is another than the known one",
        "find out why before you go on; `ssh-keygen -R HOST` forgets the old key",
    ),
    (
        "Permission denied",
        "it refuses our key",
        "put a public key of yours into ~/.ssh/authorized_keys there, and let `ssh-add -l` show that key here",
    ),
    (
        "Could not resolve hostname",
        "nobody knows that name",
        "write the name as `ssh` knows it, or its address",
    ),
    (
        "Connection refused",
        "nothing listens for ssh there",
        "start sshd there, or name its port in ~/.ssh/config",
    ),
    ("No route to host", "there is no way to it", "is the machine on?"),
    ("Network is unreachable", "there is no way to it", "is this machine on a network that leads there?"),
    ("timed out", "it does not answer", "is the machine on, and does no firewall drop ssh?"),
    (
        "Too many authentication failures",
        "ssh offers it too many keys",
        "name one: `IdentityFile` and `IdentitiesOnly yes` in ~/.ssh/config",
    ),
];

/// The error for an ssh that ended before there was a steward.
pub fn explain(what: String, code: Option<i32>, told: &[String]) -> Error {
    let words = told.join("; ");
    let known = KNOWN.iter().find(|(words, ..)| told.iter().any(|line| line.contains(words)));
    if let (Some((_, why, remedy)), Some(OF_SSH)) = (known, code) {
        return Error::host(what, format!("{why} ({words})")).remedy(*remedy);
    }
    let code = ended_with(code);
    let words = if words.is_empty() { String::new() } else { format!(": {words}") };
    Error::host(what, format!("ssh ended with {code}{words}")).remedy(
        "run it by hand to see more: `ssh -v`; a shell and `head`, `mktemp` and `uname` are needed there",
    )
}

/// Why a connection ended that had a steward on it, in a few words.
pub fn of_end(code: Option<i32>, told: &[String]) -> String {
    let last = told.iter().rfind(|line| !line.is_empty());
    match (code, last) {
        (Some(OF_SSH), Some(line)) => line.trim_end_matches('.').to_owned(),
        (Some(OF_SSH), None) => "the connection dropped".to_owned(),
        (Some(code), Some(line)) => format!("its steward ended with exit code {code}: {line}"),
        (Some(code), None) => format!("its steward ended with exit code {code}"),
        (None, _) => "ssh was killed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Error {
        explain("reaching server by `ssh lab`".to_owned(), Some(255), &[line.to_owned()])
    }

    #[test]
    fn what_ssh_says_gets_a_remedy() {
        for (words, why, remedy) in KNOWN {
            let error = told(&format!("ssh: {words}."));
            assert!(error.why.starts_with(why) && error.why.contains(words), "{error}");
            assert_eq!(error.remedy.as_deref(), Some(remedy));
        }
    }

    #[test]
    fn what_is_not_known_is_shown_as_it_is() {
        let error = told("something else");
        assert!(error.why.contains("something else") && error.remedy.is_some(), "{error}");
        // A command that failed on the machine is no failure of ssh.
        let error = explain(String::new(), Some(1), &["Permission denied".to_owned()]);
        assert_eq!(error.why, "ssh ended with exit code 1: Permission denied");
    }

    #[test]
    fn an_end_is_told_in_the_words_of_ssh() {
        let gone = ["Timeout, server 10.9.9.1 not responding.".to_owned()];
        assert_eq!(of_end(Some(255), &gone), "Timeout, server 10.9.9.1 not responding");
        assert_eq!(of_end(Some(255), &[]), "the connection dropped");
        assert_eq!(of_end(Some(4), &[]), "its steward ended with exit code 4");
    }
}
