"""The outside oracle: stock ONNX Runtime and the official ONNX package, asked from the test suites.

Every subcommand prints one JSON object on standard output and ends with code 0 when it could answer, whatever the answer;
otherwise it prints one line on standard error and ends with code 1. Needs requirements.txt of this folder.
"""

import argparse
import json
import sys

import compare
import frames
import freshness
import layers
import operators
import sessions


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name, help):
        return commands.add_parser(name, help=help, description=help)

    run = command("run", "run a model and write its outputs as .npy files")
    run.add_argument("--model", required=True)
    run.add_argument("--input", action="append", default=[], metavar="NAME=FILE.npy")
    run.add_argument("--out", required=True, metavar="DIR")
    run.add_argument(
        "--all", action="store_true", help="also intermediate tensors (quantized ones if the model is to be fused)"
    )

    ops = command("ops", "count the operators that are really executed")
    ops.add_argument("--model", required=True)

    layer = command("layers", "check a QDQ model layer by layer against the tensors of another runtime")
    layer.add_argument("--model", required=True)
    layer.add_argument("--tensors", required=True, metavar="DIR")
    layer.add_argument("--out", required=True, metavar="REPORT.json")

    for sub, usual in ((run, "default"), (ops, "default"), (layer, "exact")):
        sub.add_argument("--mode", choices=sessions.MODES, default=usual)

    pair = command("compare", "compare two folders of .npy files")
    pair.add_argument("--a", required=True, metavar="DIR")
    pair.add_argument("--b", required=True, metavar="DIR")

    frame = command("frames", "convert a picture to an nv12 frame and back by the standard's formulas")
    frame.add_argument("--picture", required=True, metavar="FILE.npy")
    frame.add_argument("--out", required=True, metavar="DIR")
    frame.add_argument("--video", action="store_true", help="studio range instead of 0..255")

    fresh = command("freshness", "compare a table of message tags with the official descriptors")
    fresh.add_argument("--tags", required=True, metavar="FILE.json")
    return parser.parse_args()


def answer(args):
    match args.command:
        case "run":
            inputs = dict(item.partition("=")[::2] for item in args.input)
            return sessions.run(args.model, inputs, args.out, args.mode, args.all)
        case "ops":
            return operators.operators(args.model, args.mode)
        case "layers":
            return layers.check(args.model, args.tensors, args.out, args.mode)
        case "compare":
            return compare.compare(args.a, args.b)
        case "frames":
            return frames.frames(args.picture, args.out, args.video)
        case "freshness":
            return freshness.freshness(args.tags)


def main():
    args = arguments()
    try:
        print(json.dumps(answer(args)))
    except Exception as error:  # whatever ONNX Runtime or a file raises is the answer to the caller
        sys.exit(f"{args.command}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
