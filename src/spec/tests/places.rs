//! Every other kind of wrong text: refused at its place, and at once.

use super::*;

/// The text, where the caret stands, and a part of why.
#[test]
fn every_other_wrong_input_is_shown_at_its_place() {
    let cases: &[(&str, (usize, usize, usize), &str)] = &[
        ("", (1, 1, 1), "it is empty"),
        ("# nothing\n\n", (1, 1, 1), "it is empty"),
        ("just text\n", (1, 1, 9), "but this is something else"),
        ("connections: 0\n", (1, 14, 1), "`connections` is 0"),
        ("connections: \"10K\n", (1, 17, 1), "a quote is not closed"),
        ("connections: 1,000,000\n", (1, 14, 9), "digits are grouped with `_`"),
        ("connections:\n", (1, 1, 11), "`connections` has no value"),
        ("connections: 1\nserver: 9900\n", (2, 9, 4), "`server` is the number 9900"),
        ("connections: 1\nserver:\n- a\n", (2, 1, 6), "`server` is a list"),
        (
            "connections: 1\nserver:\n  ports:\n  - 80\n  - 70-90\n",
            (5, 5, 5),
            "port 80 stands in 80 and again",
        ),
        ("connections: 1\nclients: {count: many}\n", (2, 18, 4), "`clients.count` is the text `many`"),
        ("connections: 1\nclients: {count: 0}\n", (2, 18, 1), "`clients.count` is 0"),
        ("connections: 1\nclients: {count: 5000000000}\n", (2, 18, 10), "is the number 5000000000"),
        ("connections: 1\nname: My Lab\n", (2, 7, 6), "`My Lab` is no name for a lab"),
        ("# é\n{name: \"é漢\", connections: 1}\n", (2, 8, 4), "`é漢` is no name"),
        ("{name: a, connections: 1, # 漢\r\n hold: 1y}\n", (2, 8, 2), "there is no unit `y`"),
        ("\u{feff}connections: 1Q\n", (1, 14, 2), "there is no unit `Q`"),
        ("connections: !!int 1\n", (1, 14, 5), "tags (`!name`)"),
        ("connections: *a\n", (1, 14, 1), "aliases (`*name`)"),
        ("connections: 1\n---\nconnections: 2\n", (2, 1, 3), "a second document begins here"),
        ("connections: 1\nserver:\n\tports: 80\n", (3, 1, 1), "a tab stands here"),
        ("connections: 1\nserver:\n  \tports: 80\n", (3, 3, 1), "a tab stands here"),
        ("connections: 1\nhold\nname: x\n", (2, 1, 1), "a key without its `:`"),
        ("connections: 1: 2\n", (1, 15, 1), "a `:` stands where no key can be"),
        ("connections: 1\nserver: {ports: 80\n", (2, 9, 1), "unclosed bracket"),
        ("? [a]\n: b\n", (1, 3, 1), "a key is missing here"),
        ("connections: 1\ntraffic: {kind: eco}\n", (2, 17, 3), "`traffic.kind` cannot be `eco`"),
        ("connections: 1\ntraffic: {size: 2MiB}\n", (2, 17, 4), "a message cannot be 2MiB long"),
        ("connections: 1\nramp: {timeout: 0s}\n", (2, 17, 2), "`ramp.timeout` is no time at all"),
        ("connections: 1\nnetwork: {subnet: 10.1.1.1/8}\n", (2, 19, 10), "it begins at 10.0.0.0"),
        ("connections: 1\nsysctl: {server: {fs.nr_open: 1}}\n", (2, 19, 10), "belongs to the whole host"),
        ("connections: 1\nsysctl: {host: {fs/../x.y: 1}}\n", (2, 17, 9), "no name of a kernel setting"),
        ("connections: 1\nsysctl: {host: {fs.nr_open: }}\n", (2, 17, 10), "has no value"),
        ("connections: 1\nexpect: {established: 2}\n", (2, 23, 1), "but only 1 are asked for"),
        ("connections: 1\nserver: {reactors: 0}\n", (2, 20, 1), "is not a number of processes"),
        ("connections: 1\nclients: {processes: none}\n", (2, 22, 4), "is not a number of processes"),
        ("connections: 1\nanyway: yes\n", (2, 9, 3), "`anyway` is the text `yes`"),
        ("connections: 1\nramp: {rounds: 0}\n", (2, 16, 1), "`ramp.rounds` is 0"),
        ("connections: 9\nramp: {plateaus: [5, 9]}\n", (2, 22, 1), "9 are not fewer than the 9"),
        ("connections: 9\nramp: {plateaus: [5, 5]}\n", (2, 22, 1), "5 are not more than the 5"),
        ("connections: 9\nramp: {plateaus: [0]}\n", (2, 19, 1), "0 are not more than the 0"),
        ("connections: 9\nramp: {plateaus: [5], rounds: 2}\n", (2, 18, 3), "with 2 rounds"),
        ("connections: 1\nfaults: [{agent: server}]\n", (2, 10, 15), "the key `do` is missing"),
        (
            "connections: 1\nfaults: [{do: hit, agent: server}]\n",
            (2, 15, 3),
            "`faults[0].do` cannot be `hit`",
        ),
        ("connections: 1\nfaults: [{do: kill}]\n", (2, 10, 10), "which `agent` it strikes"),
        ("connections: 1\nfaults: [{do: link_up, agent: server}]\n", (2, 10, 28), "whose link it strikes"),
        (
            "connections: 1\nfaults: [{do: stop, agent: server, node: client-1}]\n",
            (2, 42, 8),
            "a process is struck, not the link",
        ),
        ("connections: 1\nfaults: [{do: reset}]\n", (2, 10, 11), "which `ports` it is about"),
        ("connections: 1\nfaults: [{do: reset, ports: 9900, agent: server}]\n", (2, 42, 6), "is struck, not"),
        (
            "connections: 1\nfaults: [{at: closing, do: stop, agent: server}]\n",
            (2, 15, 7),
            "with one round nothing is closed",
        ),
    ];
    for (text, place, why) in cases {
        let error = error(text);
        assert!(error.why.contains(why), "{text:?}: {error}");
        let at = error.excerpt.unwrap();
        assert_eq!((at.line, at.column, at.width), *place, "{text:?}: {}", error.why);
    }
}

#[test]
fn what_would_take_long_is_refused_at_once() {
    let half_a_mebibyte = 1 << 19;
    let cases = [
        ("[".repeat(half_a_mebibyte), "nested too deeply"),
        (format!("connections: {}", "{a: ".repeat(half_a_mebibyte / 4)), "nested too deeply"),
        ("- ".repeat(half_a_mebibyte / 2), "nested too deeply"),
        ((0..100).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(), "nested too deeply"),
        (format!("connections: [{}]", "1, ".repeat(half_a_mebibyte / 3)), "more than 10000 values"),
        ((0..50_000).map(|key| format!("k{key}: 1\n")).collect(), "more than 10000 values"),
        (format!("? {}\n: 1\n", "k".repeat(half_a_mebibyte)), "this key is longer than"),
        (format!("connections: {}", "9".repeat(half_a_mebibyte)), "it is too large"),
        (format!("connections: 1\n#{}", "x".repeat(1 << 20)), "larger than 1 MiB"),
    ];
    for (text, why) in cases {
        let error = error(&text);
        assert!(error.why.contains(why), "{error}");
        assert!(error.to_string().len() < 1000, "{error}");
    }
}
