//! Whole scripts and copies against a fake front.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use quorate_model::Value;
use quorate_shell::table::Format;
use support::{Fake, session};

fn filled(count: i32) -> Fake {
    let fake = Fake::default();
    for id in 0..count {
        let row = vec![Value::Int(id), Value::Text(format!("n{id}")), Value::Double(f64::from(id) / 4.0)];
        fake.0.lock().unwrap().rows.insert(id, row);
    }
    fake
}

fn write(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn a_script_stops_at_its_first_failure_and_points_at_it() {
    let fake = filled(1);
    let (mut session, out, _) = session(&fake, Format::Table);
    let script = "CONSISTENCY QUORUM\nUSE k;\nSELECT * FROM t;\n\nSELEC 1;\nSELECT 2;";
    let error = session.run_script(script, Some("x.cql"), 0).await.unwrap_err();
    assert_eq!(
        error.render(""),
        "x.cql:5:SyntaxException: line 1:0 no viable alternative at input 'SELEC' ([SELEC]...)\n  SELEC 1;\n  ^^^^^"
    );
    assert_eq!(
        out.text(),
        "Consistency level set to QUORUM.\n\n id | name | v\n----+------+---\n  0 |   n0 | 0\n\n(1 rows)\n"
    );
    assert_eq!(fake.0.lock().unwrap().queries.len(), 3);
}

#[tokio::test]
async fn formats_for_programs_keep_standard_output_to_result_sets() {
    let (mut session, out, err) = session(&filled(2), Format::Csv);
    session.run_script("CONSISTENCY ALL; TRACING OFF; SELECT * FROM k.t; SHOW HOST", None, 0).await.unwrap();
    assert_eq!(out.text(), "id,name,v\n0,n0,0\n1,n1,0.25\n");
    assert!(
        err.text().contains("Consistency level set to ALL.") && err.text().contains("Connected to test at fake:9044")
    );
}

#[tokio::test]
async fn copy_from_rejects_bad_rows_with_their_reasons_and_loads_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.err").display().to_string();
    let csv = write(&folder, "in.csv", "id,name,v\n1,one,1.5\nx,two,2\n3,\"th,ree\"\n4,NA,NA\nNA,five,5\n6,six,6\n");
    let fake = Fake::default();
    {
        let mut state = fake.0.lock().unwrap();
        state.refusals = 2;
        state.lost = vec![6];
    }
    let (mut session, out, _) = session(&fake, Format::Table);
    let copy = format!("COPY k.t FROM '{csv}' WITH HEADER = true AND NULL = 'NA' AND ERRFILE = '{bad}';");
    session.run_script(&copy, None, 0).await.unwrap();
    let state = fake.0.lock().unwrap();
    assert_eq!(state.rows.keys().copied().collect::<Vec<_>>(), [1, 4]);
    assert_eq!(state.rows[&4][1..], [Value::Null, Value::Null]);
    // Four rows were sent; the two refusals were tried again, the write of unknown outcome was not.
    assert_eq!(state.executions, 6);
    let said = out.text();
    assert!(said.contains("2 rows imported from") && said.contains("4 rejected"), "{said}");
    assert!(said.contains(&format!("4 rejected rows, each with its reason, are in {bad}")), "{said}");
    let rejected = std::fs::read_to_string(&bad).unwrap();
    assert!(rejected.starts_with("id,name,v\n# line 3: column id: "), "{rejected}");
    for expected in
        ["\nx,two,2\n", "# line 4: 2 fields, expected 3\n3,\"th,ree\"\n", "# line 7: WriteTimeout", "\nNA,five,5\n"]
    {
        assert!(rejected.contains(expected), "{expected} in {rejected}");
    }
}

#[tokio::test]
async fn a_mended_rejects_file_loads_again() {
    let folder = tempfile::tempdir().unwrap();
    let csv = write(&folder, "bad.err", "id,name,v\n# line 3: column id: 'x'\n2,two,2\n");
    let fake = Fake::default();
    let (mut session, _, _) = session(&fake, Format::Table);
    let copy = format!("COPY k.t FROM '{csv}' WITH HEADER = true AND COMMENT = '#';");
    session.run_script(&copy, None, 0).await.unwrap();
    assert_eq!(fake.0.lock().unwrap().rows.len(), 1);
}

#[tokio::test]
async fn copy_to_and_from_keep_every_row_compressed_and_in_the_tables_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv.gz").display().to_string();
    let fake = filled(1_234);
    fake.0.lock().unwrap().rows.get_mut(&7).unwrap()[1] = Value::Text("a \"b\", c\\d\ne".into());
    let (mut from, _, _) = session(&fake, Format::Table);
    from.run_script(&format!("COPY k.t TO '{path}' WITH PAGESIZE = 100;"), None, 0).await.unwrap();
    assert!(std::fs::read(&path).unwrap().starts_with(&[0x1f, 0x8b]));
    let copied = Fake::default();
    let (mut into, _, _) = session(&copied, Format::Table);
    into.run_script(&format!("COPY k.t FROM '{path}';"), None, 0).await.unwrap();
    assert_eq!(copied.0.lock().unwrap().rows, fake.0.lock().unwrap().rows);
}

#[tokio::test]
async fn copy_skips_limits_and_gives_up() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..100).map(|id| format!("{id},n,1\n")).collect();
    let csv = write(&folder, "in.csv", &lines);
    let fake = Fake::default();
    let (mut first, out, _) = session(&fake, Format::Table);
    first.run_script(&format!("COPY k.t FROM '{csv}' WITH SKIPROWS = 10 AND MAXROWS = 5;"), None, 0).await.unwrap();
    assert_eq!(fake.0.lock().unwrap().rows.keys().copied().collect::<Vec<_>>(), [10, 11, 12, 13, 14]);
    assert!(out.text().contains("0 rejected, 10 skipped"));
    let bad = folder.path().join("e").display().to_string();
    let copy = format!("COPY k.t (name, v, id) FROM '{csv}' WITH MAXPARSEERRORS = 3 AND ERRFILE = '{bad}';");
    let error = first.run_script(&copy, None, 0).await.unwrap_err().to_string();
    assert!(error.contains("more than 3 rows do not parse"), "{error}");
    let missing = first.run_script("COPY k.t FROM '/nowhere.csv';", None, 0).await.unwrap_err().to_string();
    assert!(missing.contains("/nowhere.csv"), "{missing}");
    let wrong = first.run_script(&format!("COPY k.t (nope) FROM '{csv}';"), None, 0).await.unwrap_err().to_string();
    assert!(wrong.contains("Undefined column name nope"), "{wrong}");
}

#[tokio::test]
async fn source_and_capture_use_files() {
    let folder = tempfile::tempdir().unwrap();
    let inner = write(&folder, "inner.cql", "SELECT * FROM t;\nSELEC 1;");
    let capture = folder.path().join("out.txt").display().to_string();
    let (mut session, out, _) = session(&filled(1), Format::Table);
    let script = format!("CAPTURE '{capture}'\nSOURCE '{inner}'");
    let error = session.run_script(&script, None, 0).await.unwrap_err();
    assert!(error.render("").starts_with(&format!("{inner}:2:SyntaxException")), "{}", error.render(""));
    assert!(std::fs::read_to_string(&capture).unwrap().contains("(1 rows)"));
    assert!(!out.text().contains("(1 rows)"));
}
