"""What the tests put in the place of sbatch: it notes what it is given and, on demand, carries it out at once.

Environment: SUBMITTED, the file for the notes, a line of JSON for each call; REFUSE, the name of a job that is refused; OLD,
for an answer in words; EXECUTE, which runs the tasks that may run, one after the other.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path


def main(words):
    place = next(number for number, word in enumerate(words) if not word.startswith("--"))
    given = dict(word.removeprefix("--").partition("=")[::2] for word in words[:place])
    if given["job-name"] == f"caspl-{os.environ.get('REFUSE')}":
        print("sbatch: error: Batch job submission failed: Requested time limit is invalid", file=sys.stderr)
        return 1
    notes = Path(os.environ["SUBMITTED"])
    before = [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []
    number = 101 + len(before)
    states = {}
    if "EXECUTE" in os.environ:
        for index in indices(given.get("array", "")):
            states[index] = (
                execute(words[place:], given, number, index) if may_run(given, before, index) else "CANCELLED"
            )
    head = [line for line in Path(words[place]).read_text().splitlines() if line.startswith("#SBATCH")]
    with open(notes, "a") as file:
        file.write(
            json.dumps({"number": number, "given": given, "script": words[place:], "head": head, "states": states})
            + "\n"
        )
    print(f"Submitted batch job {number}" if "OLD" in os.environ else f"{number};cluster")
    return 0


def indices(text):
    """Of "0-2,5%4"; [""] of what is no array."""
    ranges = [(part.split("-") * 2)[:2] for part in text.partition("%")[0].split(",")] if text else []
    return [str(index) for first, last in ranges for index in range(int(first), int(last) + 1)] or [""]


def may_run(given, before, index):
    states = {str(job["number"]): job["states"] for job in before}
    kind, _, needed = given.get("dependency", "").partition(":")
    if kind == "aftercorr":
        return states[needed].get(index) == "COMPLETED"
    if kind == "afterok":
        array, task = re.fullmatch(r"(\d+)_(\d+)", needed).groups()
        return states[array][task] == "COMPLETED"
    return True


def execute(script, given, number, index):
    output = given["output"].replace("%%", "\0").replace("%j", str(number)).replace("%A", str(number))
    output = output.replace("%x", given["job-name"]).replace("%a", index).replace("\0", "%")
    variables = {"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": index, "SLURM_CPUS_ON_NODE": "4"}
    with open(output, "a") as file:
        done = subprocess.run(
            ["bash", *script],
            cwd=given["chdir"],
            env={**os.environ, **variables},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    return "COMPLETED" if done.returncode == 0 else "FAILED"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
