"""Every measurement of this project, from a checkout: `python -m bench list`, `all`, `tables`, or the name of one.

A benchmark is a module below this folder that declares itself, name and sentence from the file's own name and first line:

    \"\"\"What it measures, in one sentence.

        python -m bench NAME --classes 50
    \"\"\"
    from bench.frame.benchmark import Benchmark
    from bench.frame.figures import Figure, faster, median
    from bench.frame.timing import alternating, timed

    def arguments(parser):                      # --threads, --device, --json, and unless repeats=None --repeats
        parser.add_argument("--classes", type=int, default=50)

    def measure(args) -> list[Figure]:          # the first figure is what `all` shows
        paths = {"plain": timed(plain), "ours": timed(ours)}
        times = alternating(paths, args.repeats, warm_up=args.warm_up)
        return [faster(times, "plain", "ours", least=2.5), median("plain", times["plain"]), median("ours", times["ours"])]

    BENCH = Benchmark(__name__, __doc__, measure, arguments, runs={"50": "--classes 50 --repeats 5"}, trial="--classes 5")

`runs` are what `all` does, each with a label; `trial` (and one repeat) is put behind each by `all --trial`. Where a run needs
what only the user has, it names it in braces and `needs` says what that is: `runs={"": "{checkouts}"}`,
`needs={"checkouts": "checkouts of the family"}`; `gpu` and `extra` say what the machine must have. Steps that need a process
of their own (memory peaks, other people's code) are sides: bench/frame/sides.py. `tables` says what documents show of it
(bench/frame/tables.py), between the markers `<!-- bench: NAME -->` and `<!-- end of NAME -->`.
"""
