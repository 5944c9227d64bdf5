"""A Lean REPL that was recorded: answers each message of a transcript as it was answered, and any other by an
error. Messages and answers are JSON with a blank line behind each (leanprover-community/repl, README).

A transcript is a list of [command, environment or null, answer]; answer "hang" or "die" does so. With a second
argument, every command that comes is noted in that file."""
import json
import sys
import time

transcript = {(c, e): a for c, e, a in json.load(open(sys.argv[1]))}
message = ""
for line in sys.stdin:
    if line.strip():
        message += line
        continue
    if not message:
        continue
    asked = json.loads(message)
    message = ""
    if len(sys.argv) > 2:
        with open(sys.argv[2], "a") as notes:
            print(json.dumps(asked["cmd"]), file=notes)
    answer = transcript.get((asked["cmd"], asked.get("env")), {"message": "not in the transcript: " + json.dumps(asked)})
    if answer == "hang":
        time.sleep(1000)
    if answer == "die":
        sys.exit(3)
    print(json.dumps(answer, indent=1) + "\n", flush=True)
