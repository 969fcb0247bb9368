"""Runs the Apache Python driver's integration suite and compares what failed with what is expected to.

The suite is read from a checkout that the caller names; nothing of it is kept here. It starts its nodes through `ccmlib`:
the folder `standin` has one of that name which starts Quorate's, or asks a program to (`--tool`, for a real Cassandra).

`expectations.txt` has a line for each test that does not pass, with the reason:

    later:FEATURE    TEST    a feature that is not there yet
    purpose:REASON   TEST    we differ on purpose
    na:REASON        TEST    the test cannot apply, whoever is asked

A failing test without a line is asked a second time, on its own: some count on how slowly a cluster notices what happens to
it. If it fails again, or if a test passes that has a line, the exit status is 1.
"""

import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
EXPECTATIONS = HERE / "expectations.txt"
# Two runs of pytest: each folder has its own clusters, and the second must not find the first's.
PARTS = ["tests/integration/standard", "tests/integration/cqlengine"]
TEST_TIMEOUT_S = 120
ASKED_AGAIN_MAX = 30


def arguments():
    parser = argparse.ArgumentParser(prog="python-suite", description=__doc__.split("\n")[0])
    parser.add_argument("checkout", type=pathlib.Path, help="a folder with the driver's sources")
    parser.add_argument("--quorate", type=pathlib.Path, default=ROOT / "target/release/quorate", help="the binary of the nodes")
    parser.add_argument("--tool", help="a program that starts the nodes instead: start N, kill I, pause I, resume I, wipe")
    parser.add_argument("--external", help="the address of a cluster that runs already; tests that stop nodes do not apply")
    parser.add_argument("--version", default="5.0.6", help="the version of Cassandra that the suite is told")
    parser.add_argument("--protocol", help="the protocol's version, 5 unless given")
    parser.add_argument("--timeout", type=int, default=TEST_TIMEOUT_S, help="seconds for a test")
    parser.add_argument("--results", type=pathlib.Path, help="where to keep each test's outcome, a JSON object a line")
    parser.add_argument("--compare", type=pathlib.Path, help="the results of another server: what fails there too is set apart")
    return parser.parse_known_args()


def environment(args, results, work):
    env = dict(os.environ)
    env.update(
        CASSANDRA_VERSION=args.version,
        PYTHONPATH=os.pathsep.join([str(HERE / "standin"), str(HERE)]),
        PYTHONDONTWRITEBYTECODE="1",
        QUORATE_SUITE_RESULTS=str(results),
        QUORATE_SUITE_WORK=str(work),
        QUORATE_SUITE_BINARY=str(args.quorate.resolve()),
    )
    if args.tool:
        env["QUORATE_SUITE_TOOL"] = args.tool
    if args.protocol:
        env["PROTOCOL_VERSION"] = args.protocol
    if args.external:
        env.update(USE_CASS_EXTERNAL="1", CLUSTER_IP=args.external, CCM_PATH=str(work), CCM_NAME="external")
    return env


def run(args, rest, results, parts):
    """Runs these parts, each in a pytest of its own."""
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="python-suite-") as work:
            command = [
                str(pathlib.Path(sys.executable).parent / "pytest"),
                *("-p", "suite_plugin", "-p", "no:cacheprovider", "-q", "--tb=native", "--disable-warnings"),
                *("--continue-on-collection-errors", "--show-capture=no"),
                *(f"--timeout={args.timeout}", "--timeout-method=signal", *rest, *part),
            ]
            subprocess.run(command, cwd=args.checkout, env=environment(args, results, pathlib.Path(work)), check=False)


def expected():
    """What is expected not to pass: the test's id, and the reason."""
    found = {}
    for number, line in enumerate(EXPECTATIONS.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        reason, _, test = line.strip().partition(" ")
        if not test or reason.partition(":")[0] not in ("later", "purpose", "na"):
            sys.exit(f"{EXPECTATIONS}:{number}: want 'later:FEATURE TEST', 'purpose:…' or 'na:…', found: {line}")
        found[test.strip()] = reason
    return found


def outcomes(results):
    """Each test's outcome: its last run counts, and a failure in any phase is one."""
    found = {}
    for line in results.read_text().splitlines():
        record = json.loads(line)
        again = record["outcome"] == "passed" and record["test"] in found
        found[record["test"]] = ("passed the second time" if again else record["outcome"], record["why"])
    return found


def unexpected(found, reasons):
    """The tests that failed and have no line."""
    return [test for test, (outcome, _) in found.items() if test not in reasons and outcome.startswith(("failed", "error"))]


def table(found, reasons, elsewhere):
    """Prints the table; the number of tests that nobody expected to end as they did."""
    rows, surprises = collections.Counter(), []
    for test, (outcome, why) in sorted(found.items()):
        reason = reasons.get(test)
        if outcome.startswith("passed"):
            rows[outcome] += 1
            if reason:
                surprises.append(f"passes, but is listed as {reason}: {test}")
        elif outcome == "skipped":
            rows["skipped by the suite"] += 1
        elif not reason and test in elsewhere:
            rows["na: fails elsewhere too"] += 1
        elif reason:
            rows[reason] += 1
        else:
            rows[f"{outcome}, not listed"] += 1
            surprises.append(f"{outcome}: {test}: {why}")
    apply = sum(count for reason, count in rows.items() if not reason.startswith(("na:", "skipped")))
    passed = sum(count for reason, count in rows.items() if reason.startswith("passed"))
    print("\n| outcome | tests |\n| --- | --- |")
    for reason, count in sorted(rows.items(), key=lambda row: (not row[0].startswith("passed"), row[0])):
        print(f"| {reason} | {count} |")
    print(f"\npassed {passed} of the {apply} that apply")
    for surprise in surprises:
        print(surprise)
    return len(surprises)


def main():
    args, rest = arguments()
    args.checkout = args.checkout.resolve()
    if not (args.checkout / "tests/integration/standard").is_dir():
        sys.exit(f"{args.checkout}: no tests/integration/standard: not a checkout of the Python driver")
    if not (args.tool or args.external or args.quorate.is_file()):
        sys.exit(f"{args.quorate}: no such binary; build it, or name another with --quorate")
    reasons = expected()
    results = args.results or pathlib.Path(tempfile.mkstemp(prefix="python-suite-", suffix=".jsonl")[1])
    results.write_text("")
    wanted = [one for one in rest if one.startswith("tests/")]
    rest = [one for one in rest if one not in wanted]
    run(args, rest, results, [wanted] if wanted else [[part] for part in PARTS])
    again = unexpected(outcomes(results), reasons)
    if 0 < len(again) <= ASKED_AGAIN_MAX:
        run(args, rest, results, [again])
    found = outcomes(results)
    if not args.results:
        results.unlink()
    if not found:
        sys.exit("no test ran")
    elsewhere = outcomes(args.compare) if args.compare else {}
    sys.exit(1 if table(found, reasons, unexpected(elsewhere, {})) else 0)


if __name__ == "__main__":
    main()
