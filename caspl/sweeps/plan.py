"""From a request to the list of its jobs. Nothing but configuration files is read, and nothing is written.

A training comes before its tests, a phase 1 before the trainings that it boosts; what several experiments need is there once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from . import place
from .jobs import Job, Kind, Plan, Resources
from .protocols.reading import PHASE_1, reads
from .protocols.rows import Protocol, Run
from .protocols.table import keys_beside, protocol
from .requests import LABEL_FREE, Mistakes, Request, Variation, is_cascaded, is_number, members

PLAIN = Variation()
BOOSTING = "TRAINER.CASPL.BOOSTING"
EPOCHS = "OPTIM.MAX_EPOCH"
UNTRAINED = "ZeroshotCLIP"  # and ZeroshotCLIP2: they have no epochs
FITTED = "LinearProbe"  # at once: its checkpoint is that of epoch 1


@dataclass(frozen=True)
class Choice:
    """The configuration of a run.

    Attributes:
        config: its name.
        file: configs/trainers/...
        epoch: the last one; None: nothing is trained.
        keys: pairs of the protocols and of the ablation.
    """

    config: str
    file: str
    epoch: int | None
    keys: tuple[str, ...]


@dataclass
class Planner:
    """The jobs of one request, added run by run.

    Attributes:
        request: what is asked for.
        mistakes: gets what is wrong with it.
        resources: of each job.
        variation: of an ablation; the runs that are added next have it.
    """

    request: Request
    mistakes: Mistakes
    resources: Resources = Resources()
    variation: Variation = PLAIN
    jobs: dict[str, Job] = field(default_factory=dict)
    _choices: dict[tuple, Choice] = field(default_factory=dict)

    def plan(self) -> Plan:
        return Plan(tuple(self.jobs.values()))

    # ------------------------------------------------------------ experiments
    def base2new(self, top: str, dataset: str, trainer: str, seed: str, shots: str) -> None:
        """Train on base classes, test on new ones, below a folder; what sees no labels is tested on both."""
        keys: tuple[str, ...] = ()
        parts = ["new"]
        model = ""
        if trainer in LABEL_FREE:
            choice, model, seed = self._label_free(dataset, trainer, seed)
            shots, parts = "0", ["base", "new"]
        else:
            choice = self.choose(trainer, dataset, int(shots))
            keys = ("DATASET.NUM_SHOTS", shots)
        name = f"{self.request.name or choice.config}{self.variation.tag}"
        end = f"{dataset}/shots_{shots}/{trainer}/{name}/seed{seed}"
        if shots != "0":
            model = f"{top}/train_base/{end}"
            self._learner(model, dataset, trainer, seed, choice, (*keys, "DATASET.SUBSAMPLE_CLASSES", "base"))
        for part in parts + ["all"] * self.request.all_classes:
            test = (*keys, "DATASET.SUBSAMPLE_CLASSES", part)
            self._test(f"{top}/test_{part}/{end}", model, dataset, trainer, seed, choice, test)

    def few_shot(self, dataset: str, trainer: str, seed: str, shots: str) -> Tested:
        """Train and test on all classes."""
        output, name = self.request.output, self.request.name
        if trainer in LABEL_FREE:
            choice, model, seed = self._label_free(dataset, trainer, seed)
            end = f"{trainer}/{name or choice.config}_0shots"
            self._test(f"{output}/{dataset}/{end}/seed{seed}", model, dataset, trainer, seed, choice)
        else:
            choice = self.choose(trainer, dataset, int(shots))
            end = f"{trainer}/{name or choice.config}_{shots}shots"
            model = f"{output}/{dataset}/{end}/seed{seed}"
            self._learner(model, dataset, trainer, seed, choice, ("DATASET.NUM_SHOTS", shots))
        return Tested(model, end, seed, choice)

    def transfer(self, dataset: str, trainer: str, seed: str, shots: str) -> None:
        """Train on the source, test on a dataset."""
        source = self.request.source
        tested = self.few_shot(source, trainer, seed, shots)
        if dataset != source:
            folder = f"{self.request.output}/evaluation/{tested.end}/{dataset}/seed{tested.seed}"
            self._test(folder, tested.model, dataset, trainer, tested.seed, tested.choice)

    def phase1(self, dataset: str, trainer: str, seed: str, shots: str) -> None:
        """Boosting prompts for their own sake."""
        self._phase1(dataset, seed, Kind.TRAINING)

    # ------------------------------------------------------------ configurations
    def choose(self, trainer: str, dataset: str, shots: int, learner: str = "") -> Choice:
        """The configuration of a run and its keys; `learner` is whom a phase 1 is for."""
        asked = (trainer, dataset, shots, learner, self.variation)
        if asked not in self._choices:
            self._choices[asked] = self._choose(*asked[:4])
        return self._choices[asked]

    def _choose(self, trainer: str, dataset: str, shots: int, learner: str) -> Choice:
        run = self._run(trainer, dataset, shots, learner)
        row = self._protocol(run)
        given = self.request.configs.get(trainer, "")
        config = given or row.config
        file = f"{place.TRAINERS}/{trainer}/{config}.yaml"
        epoch = None
        there = place.configurations(trainer)
        if config in there:
            epoch = self._last_epoch(trainer, file)
        else:
            self.mistakes.add(f"no {file}; that folder has {', '.join(there)}")
        varied = self.variation.phase1_keys if trainer == PHASE_1 else self.variation.phase2_keys
        own = () if given else row.keys
        return Choice(config, file, epoch, (*own, *keys_beside(run, config), *varied))

    def _run(self, trainer: str, dataset: str, shots: int | None, learner: str = "") -> Run:
        return Run(self.request.setting, trainer, dataset, shots, self.variation.images or dataset, learner)

    def _protocol(self, run: Run) -> Protocol:
        return protocol(run, as_published=self.request.as_published)

    def _last_epoch(self, trainer: str, file: str) -> int | None:
        """From the pairs behind --, else from the configuration."""
        if trainer.startswith(UNTRAINED):
            return None
        if trainer == FITTED:
            return 1
        given = dict(zip(self.request.pairs[::2], self.request.pairs[1::2], strict=False)).get(EPOCHS)
        epochs = place.value(file, EPOCHS) if given is None else given
        text = "" if epochs is None else str(epochs)
        if is_number(text):
            return int(text)
        self.mistakes.add(f'{EPOCHS} is "{text}" with {file}, expected a whole number from 1')
        return None

    def seeds(self, trainer: str, dataset: str) -> tuple[str, ...]:
        """Those that were asked for, else those of the protocol, else the usual ones of the experiment."""
        theirs = self._protocol(self._run(trainer, dataset, None)).seeds
        return self.request.seeds or (tuple(map(str, theirs)) if theirs else self.request.usual_seeds)

    def shots(self, trainer: str, dataset: str) -> tuple[str, ...]:
        """As `seeds`."""
        theirs = self._protocol(self._run(trainer, dataset, None)).shots
        return self.request.shots or (tuple(map(str, theirs)) if theirs else self.request.usual_shots)

    # ------------------------------------------------------------ runs
    def _phase1(self, dataset: str, seed: str, kind: Kind, learner: str = "") -> str:
        """Add boosting prompts for tests on a dataset, and give their folder."""
        vary, request = self.variation, self.request
        choice = self.choose(PHASE_1, dataset, 0, learner)
        name = request.name if request.setting == "phase1" and request.name else choice.config
        images = vary.images or dataset
        top = vary.phase1_folder or f"{request.output}/boost"
        folder = f"{top}/{images}/{name}{vary.phase1_tag}/seed{seed}"
        self._training(folder, kind, "", images, PHASE_1, seed, choice)
        return folder

    def _label_free(self, dataset: str, trainer: str, seed: str) -> tuple[Choice, str, str]:
        """The choice, the model (a phase 1; "": none) and the seed in use: of zero-shot, where nothing is random, it is 1."""
        choice = self.choose(trainer, dataset, 0)
        if trainer != PHASE_1:
            return choice, "", "1"
        if self.request.boosting:
            self.mistakes.add(
                f"{PHASE_1} tests the phase 1 of this sweep, --boosting is for CasPL_*; leave out one of the two"
            )
        return choice, self._phase1(dataset, seed, Kind.PHASE1), seed

    def _learner(
        self, folder: str, dataset: str, trainer: str, seed: str, choice: Choice, keys: tuple[str, ...]
    ) -> None:
        """A method that learns from labels, behind boosting prompts if it is cascaded."""
        needs = ""
        if is_cascaded(trainer) and not self.variation.one_phase:
            if self.request.boosting:
                keys += (BOOSTING, self.request.boosting)
            else:  # of seed 1 for all seeds, as published
                needs = self._phase1(dataset, "1", Kind.BOOSTING, trainer)
                keys += (BOOSTING, needs)
        self._training(folder, Kind.TRAINING, needs, dataset, trainer, seed, choice, keys)

    def _training(
        self,
        folder: str,
        kind: Kind,
        needs: str,
        dataset: str,
        trainer: str,
        seed: str,
        choice: Choice,
        keys: tuple[str, ...] = (),
    ) -> None:
        words = ("--output-dir", folder)
        self._add(Job(folder, (), kind, needs, choice.epoch), words, dataset, trainer, seed, choice, keys)

    def _test(
        self,
        folder: str,
        model: str,
        dataset: str,
        trainer: str,
        seed: str,
        choice: Choice,
        keys: tuple[str, ...] = (),
    ) -> None:
        """`model` is the folder of a training; "": zero-shot."""
        load = ("--model-dir", model, "--load-epoch", str(choice.epoch)) if model else ()
        words = ("--eval-only", *load, "--output-dir", folder)
        self._add(Job(folder, (), Kind.TEST, model), words, dataset, trainer, seed, choice, keys)

    def _add(
        self,
        job: Job,
        words: tuple[str, ...],
        dataset: str,
        trainer: str,
        seed: str,
        choice: Choice,
        keys: tuple[str, ...],
    ) -> None:
        """Put a run on the list, unless it is there; a phase 1 that is wanted for its own sake, too, is of that kind."""
        if there := self.jobs.get(job.folder):
            if job.kind is not Kind.BOOSTING and job.kind is not there.kind:
                self.jobs[job.folder] = replace(there, kind=job.kind)
            return
        file, union = self._dataset(dataset)
        command = ("--seed", seed, "--trainer", trainer, "--dataset-config-file", file, "--config-file", choice.file)
        command += (*words, *keys, *union, *choice.keys, *self._pairs_for(trainer))
        self.jobs[job.folder] = replace(
            job,
            arguments=("--root", self.request.root, *command),
            settings=" ".join(word.replace(f"{self.request.output}/", "") for word in command),
            resources=self.resources,
        )

    def _pairs_for(self, trainer: str) -> Iterable[str]:
        """The pairs behind -- whose keys a trainer reads."""
        pairs = self.request.pairs
        for key, value in zip(pairs[::2], pairs[1::2], strict=False):
            if reads(trainer, key):
                yield from (key, value)

    def _dataset(self, dataset: str) -> tuple[str, tuple[str, ...]]:
        """The file of a dataset, and the keys of a union."""
        if "+" not in dataset:
            return _dataset_file(dataset), ()
        named = ",".join(f"'{_name_of(file)}'" for file in map(_dataset_file, members(dataset)))
        return _dataset_file("union"), ("DATASET.MEMBERS", f"({named})")


def _dataset_file(name: str) -> str:
    return f"{place.DATASETS}/{name}.yaml"


def _name_of(file: str) -> str:
    """DATASET.NAME of a file; "" where there is none, which is told elsewhere."""
    return str(place.value(file, "DATASET.NAME") or "") if place.exists(file) else ""


@dataclass(frozen=True)
class Tested:
    """A model of few-shot: its folder ("": none), the end of the folders of its tests, its seed and choice."""

    model: str
    end: str
    seed: str
    choice: Choice


def each(planner: Planner, add: Callable[[str, str, str, str], object]) -> None:
    """Call `add` with every dataset, trainer, seed and number of shots of the request, in this order."""
    for dataset in planner.request.datasets:
        for trainer in planner.request.trainers:
            learned_on = planner.request.source if planner.request.setting == "transfer" else dataset
            for seed in planner.seeds(trainer, learned_on):
                for shots in planner.shots(trainer, learned_on):
                    add(dataset, trainer, seed, shots)


EXPERIMENTS: dict[str, Callable[[Planner], Callable[[str, str, str, str], object]]] = {
    "phase1": lambda planner: planner.phase1,
    "base2new": lambda planner: partial(planner.base2new, f"{planner.request.output}/base2new"),
    "few_shot": lambda planner: planner.few_shot,
    "cross_dataset": lambda planner: planner.transfer,
    "domain_generalization": lambda planner: planner.transfer,
}
