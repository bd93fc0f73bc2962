use proptest::prelude::*;

use super::*;

fn namespace(name: &str, inode: Option<u64>) -> Change {
    let identity = inode.map(|inode| Identity { inode, since_ns: 1 });
    Change::Namespace { name: name.to_owned(), identity }
}

fn text(lines: &[Line]) -> String {
    lines.iter().map(|line| serde_json::to_string(line).expect("line") + "\n").collect()
}

#[test]
fn what_was_made_and_not_undone_stands() {
    let lines = [
        Line::Intent { id: 1, intent: namespace("a", None) },
        Line::Made { id: 1, made: namespace("a", Some(7)) },
        Line::Intent { id: 2, intent: namespace("b", None) },
        Line::Intent { id: 3, intent: namespace("c", None) },
        Line::Undone { id: 2, undone: true },
    ];
    let (_, standing, next) = read_lines(&text(&lines));
    let a = Standing { id: 1, change: namespace("a", Some(7)), certain: true };
    let c = Standing { id: 3, change: namespace("c", None), certain: false };
    assert_eq!(standing, [a, c]);
    assert_eq!(next, 4);
}

#[test]
fn a_torn_last_line_is_passed_over() {
    let whole = text(&[Line::Intent { id: 1, intent: namespace("a", None) }]);
    let torn = format!("{whole}{}", &whole[..whole.len() / 2]);
    assert_eq!(read_lines(&torn).1.len(), 1);
}

fn setting(key: &str) -> Change {
    Change::Setting { key: key.to_owned(), before: "1".to_owned(), during: "2 3".to_owned() }
}

fn header() -> Header {
    Header {
        lab: "a".to_owned(),
        runner: 7,
        runner_start_time: 8,
        boot_id: "of another boot".to_owned(),
        began_unix_ms: 9,
        run_directory: PathBuf::from("/"),
        connections: 10,
        subnets: vec!["10.99.0.0/16".parse().expect("a subnet")],
        planned: None,
    }
}

#[test]
fn a_copy_has_the_settings_and_nothing_else() {
    let changes = [namespace("a", Some(7)), setting("fs.file-max"), setting("fs.nr_open")];
    let standing: Vec<Standing> =
        (1..).zip(changes).map(|(id, change)| Standing { id, change, certain: true }).collect();
    let text = serde_json::to_vec(&Kept::of(&header(), &standing)).expect("a copy");
    let (read, settings) = Kept::read(&text).expect("what was written");
    assert_eq!((read.lab.as_str(), read.is_of_an_earlier_boot()), ("a", true));
    let changes: Vec<&Change> = settings.iter().map(|one| &one.change).collect();
    assert_eq!(changes, [&setting("fs.file-max"), &setting("fs.nr_open")]);
    assert!(Kept::read(&text[..text.len() - 1]).is_err(), "a torn one is none");
}

/// Lines of a journal in any order, some of them cut off or with a wrong byte.
fn lines() -> impl Strategy<Value = String> {
    let change = (prop::sample::select(vec![1, 2, u64::MAX]), 0..3_usize);
    let line = change.prop_map(|(id, kind)| match kind {
        0 => text(&[Line::Intent { id, intent: namespace("a", None) }]),
        1 => text(&[Line::Made { id, made: namespace("a", Some(7)) }]),
        _ => text(&[Line::Undone { id, undone: true }]),
    });
    let torn = (line, 0..200_usize).prop_map(|(line, keep)| line.chars().take(keep).collect::<String>());
    prop::collection::vec(torn, 0..20).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn any_text_is_a_journal(text in prop_oneof!["(?s).*", lines()]) {
        let (_, standing, next) = read_lines(&text);
        prop_assert!(standing.iter().all(|one| one.id.saturating_add(1) <= next));
    }
}
