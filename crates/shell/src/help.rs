//! `HELP`.

/// Topics with what they say.
const TOPICS: [(&str, &str); 16] = [
    (
        "CONSISTENCY",
        "CONSISTENCY [level]\n  Shows or sets how many replicas must answer each request: ANY (writes), ONE, TWO, THREE, QUORUM,\n  ALL, LOCAL_QUORUM, EACH_QUORUM, LOCAL_ONE.",
    ),
    ("SERIAL", "SERIAL CONSISTENCY [SERIAL|LOCAL_SERIAL]\n  Shows or sets the level of conditional statements (IF …)."),
    ("TRACING", "TRACING [ON|OFF]\n  Shows after each statement which node did what, and when."),
    ("EXPAND", "EXPAND [ON|OFF]\n  Prints each row over several lines, a column a line."),
    ("PAGING", "PAGING [ON|OFF|rows]\n  On a terminal, stops after so many rows; Enter goes on, q stops."),
    ("SOURCE", "SOURCE 'file.cql'\n  Runs the statements and commands of a file; stops at the first failure."),
    ("CAPTURE", "CAPTURE ['file'|OFF]\n  Appends result sets to a file instead of showing them."),
    (
        "COPY",
        "COPY [keyspace.]table [(column, …)] FROM|TO 'file.csv[.gz]'|STDIN|STDOUT [WITH option = value AND …]\n  \
      Columns: those named, else the header's with HEADER = true, else partition key, clustering columns, the rest by name.\n  \
      HEADER (false)  DELIMITER (',')  QUOTE ('\"')  ESCAPE ('\\')  NULL ('')  BOOLSTYLE ('True,False')  COMMENT\n  \
      FROM: SKIPROWS (0)  MAXROWS (-1)  INGESTRATE (100000 rows/s)  CHUNKSIZE  MAXATTEMPTS (5)\n  \
      \x20     MAXPARSEERRORS (-1)  MAXINSERTERRORS (1000)  ERRFILE ('import_<keyspace>_<table>.err')\n  \
      TO:   PAGESIZE (5000)  MAXROWS (-1)\n  \
      NUMPROCESSES, MAXBATCHSIZE, MINBATCHSIZE and REPORTFREQUENCY are accepted and change nothing.\n  \
      A row counts when it was acknowledged. Rejected rows go to ERRFILE, each under a comment with its reason; mended,\n  \
      it loads again WITH COMMENT = '#'.",
    ),
    (
        "DESCRIBE",
        "DESCRIBE CLUSTER | KEYSPACES | KEYSPACE [name] | TABLES | TABLE name | SCHEMA | name\n  Answered by the node: the statements that would create what is there.",
    ),
    ("SHOW", "SHOW VERSION | SHOW HOST"),
    ("HISTORY", "HISTORY\n  Shows what was typed; arrow keys and Ctrl-R search in it."),
    ("CLEAR", "CLEAR\n  Clears the screen."),
    ("EXIT", "EXIT, QUIT or Ctrl-D\n  Leaves the shell."),
    ("HELP", "HELP [topic] or ? [topic]"),
    (
        "SELECT",
        "SELECT … FROM [keyspace.]table [WHERE …] [ORDER BY …] [PER PARTITION LIMIT n] [LIMIT n] [ALLOW FILTERING];",
    ),
    (
        "INSERT",
        "INSERT INTO [keyspace.]table (column, …) VALUES (value, …) [USING TTL seconds AND TIMESTAMP microseconds];",
    ),
];

/// Help on these topics, or the list of them.
pub fn render(topics: &[String]) -> String {
    if topics.is_empty() {
        let names: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).collect();
        return format!(
            "Statements end with a semicolon and may span lines; the shell's own commands end with the line.\n\
             HELP topic tells more about: {}.\nTab completes keywords and the schema's names.",
            names.join(", ")
        );
    }
    let entry = |topic: &String| {
        let found = TOPICS.iter().find(|(name, _)| name == topic || (*name == "EXIT" && topic == "QUIT"));
        found.map_or_else(
            || format!("There is no help on {topic}. HELP lists the topics."),
            |(_, text)| (*text).to_owned(),
        )
    };
    topics.iter().map(entry).collect::<Vec<_>>().join("\n\n")
}
