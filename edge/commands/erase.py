"""`edge erase`: one study, now and for ever."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from edge.commands import print_json, settings_of

NAME = "erase"
HELP = (
    "Erase one study: its jobs and deliveries stop, its keys are overwritten, so that no copy of its files can ever be "
    "opened, and its files are removed. There is no way back."
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY_UID", help="Study Instance UID")
    parser.add_argument("--reason", metavar="CODE", default="person", help="why, for the audit trail (a code, no text)")


def run(args: Namespace) -> int:
    from edge.operate.control import ask
    from edge.operate.screen import Progress

    request = {"act": "erase", "study": args.study, "reason": args.reason}
    answer = {}
    with Progress("removing files") as progress:
        for answer in ask(settings_of(args).run, request):
            if "progress" in answer:
                progress.show(answer["progress"], answer["of"])
    answer.pop("end")
    if args.json:
        print_json(answer)
    else:
        print(
            f"erased {answer['objects']} objects of {answer['study_instance_uid']}: {answer['slots']} keys overwritten "
            f"in {answer['key_milliseconds']:.1f} ms\nstopped {answer['jobs']} jobs, {answer['deliveries']} deliveries"
        )
    return 0
