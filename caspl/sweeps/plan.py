"""From a request to the list of its jobs. Nothing but configuration files is read, and nothing is written.

A training comes before its tests, a phase 1 before the trainings that it boosts; what several experiments need is there once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from . import place
from .jobs import Job, Kind, Plan, Resources
from .protocols.reading import PHASE_1, reads
from .protocols.rows import Pairs, Protocol, Run
from .protocols.table import keys_beside, protocol
from .requests import LABEL_FREE, Mistakes, Request, Variation, is_cascaded, is_number, members

PLAIN = Variation()
BOOSTING = "TRAINER.CASPL.BOOSTING"
EPOCHS = "OPTIM.MAX_EPOCH"
FEATURES, FEATURES_FILE = "TEST.FEATURES", "features.safetensors"
CROPS, TEACHER_STORE, IMAGE_STORE = "TRAINER.CASPL.CROPS", "TRAINER.CASPL.TEACHER_STORE", "TEST.IMAGE_STORE"
STORES = (TEACHER_STORE, IMAGE_STORE)
FREE = (  # keys that may change when a run is repeated or goes on: they change numbers by rounding at most
    "LOGGER",
    "VERBOSE",
    "USE_CUDA",
    "TRAIN.PRINT_FREQ",
    "TRAIN.RESUME_FREQ",
    FEATURES,
    *STORES,
    *(f"{key}_GB" for key in STORES),
    "TEST.FEATURE_STORE",
    "MODEL.TEXT_STORE",
    "DATALOADER.CACHE",
    "OPTIM.ACCUMULATE",
    "TRAIN.MEMORY",
    "TRAINER.COCOOP.MEMORY",
)
EMBEDDED = "digits"  # images of 8 x 8 pixels, which a store would not give any sooner
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
    keys: Pairs


@dataclass(frozen=True)
class Subject:
    """What is trained or tested: a trainer with its configuration and seed, on a dataset."""

    dataset: str
    trainer: str
    seed: str
    choice: Choice


@dataclass
class Planner:
    """The jobs of one request, added run by run.

    Attributes:
        request: what is asked for.
        mistakes: gets what is wrong with it.
        resources: of each job.
        variation: of an ablation; the runs that are added next have it.
        deviations: by trainer, where and why its runs differ on purpose from what is published.
    """

    request: Request
    mistakes: Mistakes
    resources: Resources = Resources()
    variation: Variation = PLAIN
    jobs: dict[str, Job] = field(default_factory=dict)
    deviations: dict[str, str] = field(default_factory=dict)
    _choices: dict[tuple, Choice] = field(default_factory=dict)

    def plan(self) -> Plan:
        return Plan(tuple(self.jobs.values()))

    # ------------------------------------------------------------ experiments
    def base2new(self, top: str, dataset: str, trainer: str, seed: str, shots: str) -> None:
        """Train on base classes, test on new ones, below a folder; what sees no labels is tested on both."""
        if trainer in LABEL_FREE:
            subject, model = self._label_free(dataset, trainer, seed)
            parts, keys, shots = ["base", "new"], (), "0"
        else:
            subject, model = Subject(dataset, trainer, seed, self.choose(trainer, dataset, int(shots))), ""
            parts, keys = ["new"], ("DATASET.NUM_SHOTS", shots)
        end = f"{dataset}/shots_{shots}/{trainer}/{self._name(subject)}{self.variation.tag}/seed{subject.seed}"
        if trainer not in LABEL_FREE:
            model = f"{top}/train_base/{end}"
            self._learner(model, subject, (*keys, "DATASET.SUBSAMPLE_CLASSES", "base"))
        for part in parts + ["all"] * self.request.all_classes:
            self._test(f"{top}/test_{part}/{end}", model, subject, (*keys, "DATASET.SUBSAMPLE_CLASSES", part))

    def few_shot(self, top: str, dataset: str, trainer: str, seed: str, shots: str) -> Tested:
        """Train and test on all classes, below a folder."""
        if trainer in LABEL_FREE:
            subject, model = self._label_free(dataset, trainer, seed)
            end = f"{trainer}/{self._name(subject)}{self.variation.tag}_0shots"
            self._test(f"{top}/{dataset}/{end}/seed{subject.seed}", model, subject)
        else:
            subject = Subject(dataset, trainer, seed, self.choose(trainer, dataset, int(shots)))
            end = f"{trainer}/{self._name(subject)}{self.variation.tag}_{shots}shots"
            model = f"{top}/{dataset}/{end}/seed{seed}"
            self._learner(model, subject, ("DATASET.NUM_SHOTS", shots))
        return Tested(model, end, subject)

    def transfer(self, dataset: str, trainer: str, seed: str, shots: str) -> None:
        """Train on the source, test on a dataset."""
        tested = self.few_shot(self.request.output, self.request.source, trainer, seed, shots)
        if dataset != self.request.source:
            subject = replace(tested.subject, dataset=dataset)
            folder = f"{self.request.output}/evaluation/{tested.end}/{dataset}/seed{subject.seed}"
            self._test(folder, tested.model, subject)

    def phase1(self, dataset: str, trainer: str, seed: str, shots: str) -> None:
        """Boosting prompts for their own sake."""
        self._phase1(dataset, seed, Kind.TRAINING)

    def _name(self, subject: Subject) -> str:
        """Of the folders of its runs."""
        return self.request.name or subject.choice.config

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
        for key in {*varied[::2]} & {*self.request.pairs[::2]}:
            self.mistakes.add(f"{key} stands after --, but the grid decides on it; leave the pair out")
        own = () if given else row.keys
        if row.deviation and not given and not (self.request.as_published and row.can_be_followed):
            self.deviations[trainer] = row.deviation
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
        self._training(folder, kind, Subject(images, PHASE_1, seed, choice), vary.phase1_usual)
        return folder

    def _label_free(self, dataset: str, trainer: str, seed: str) -> tuple[Subject, str]:
        """Of what sees no labels, and its model, a phase 1; "": none. Of zero-shot, where nothing is random, the seed is 1."""
        choice = self.choose(trainer, dataset, 0)
        if trainer != PHASE_1:
            return Subject(dataset, trainer, "1", choice), ""
        if self.request.boosting:
            self.mistakes.add(
                f"{PHASE_1} tests the phase 1 of this sweep, --boosting is for CasPL_*; leave out one of the two"
            )
        return Subject(dataset, trainer, seed, choice), self._phase1(dataset, seed, Kind.PHASE1)

    def _learner(self, folder: str, subject: Subject, keys: Pairs) -> None:
        """A method that learns from labels, behind boosting prompts if it is cascaded."""
        needs = ""
        if is_cascaded(subject.trainer) and not self.variation.one_phase:
            boosting = self.request.boosting
            if not boosting:  # of seed 1 for all seeds, as published
                boosting = needs = self._phase1(subject.dataset, "1", Kind.BOOSTING, subject.trainer)
            keys += (BOOSTING, boosting)
        self._training(folder, Kind.TRAINING, subject, keys, needs)

    def _training(self, folder: str, kind: Kind, subject: Subject, keys: Pairs = (), needs: str = "") -> None:
        job = Job(folder, (), kind, needs, subject.choice.epoch)
        self._add(job, ("--output-dir", folder), subject, keys)

    def _test(self, folder: str, model: str, subject: Subject, keys: Pairs = ()) -> None:
        """`model` is the folder of a training; "": zero-shot."""
        load = ("--model-dir", model, "--load-epoch", str(subject.choice.epoch)) if model else ()
        words = ("--eval-only", *load, "--output-dir", folder)
        self._add(Job(folder, (), Kind.TEST, model), words, subject, keys)

    def _add(self, job: Job, words: Pairs, subject: Subject, keys: Pairs) -> None:
        """Put a run on the list. Of one that is there the more is kept: a phase 1 for its own sake, a test with features."""
        there = self.jobs.get(job.folder)
        if there and job.kind is not Kind.BOOSTING and job.kind is not there.kind:
            there = self.jobs[job.folder] = replace(there, kind=job.kind)
        leaves = (FEATURES_FILE,) * (job.kind in (Kind.TEST, Kind.TRAINING) and self._wants_features(subject.trainer))
        if there and (there.leaves or not leaves):
            return
        file, union = self._dataset(subject.dataset)
        choice, trainer = subject.choice, subject.trainer
        command = ("--seed", subject.seed, "--trainer", trainer, "--dataset-config-file", file)
        command += ("--config-file", choice.file, *words, *keys, *union, *choice.keys)
        command += (*self._image_store(subject.dataset), *self._pairs_for(trainer))
        self.jobs[job.folder] = replace(
            job,
            arguments=("--root", self.request.root, *command),
            settings=" ".join(word.replace(f"{self.request.output}/", "") for word in _deciding(command)),
            resources=self.resources,
            leaves=leaves,
        )

    def _image_store(self, dataset: str) -> Pairs:
        """What lets all runs of the sweep that test the same images decode them once, unless another place is given."""
        if dataset == EMBEDDED or IMAGE_STORE in self.request.pairs[::2]:
            return ()
        return IMAGE_STORE, f"{self.request.output}/stores/images"

    def _wants_features(self, trainer: str) -> bool:
        """Whether the features of the test images are asked for behind --, which a finished run may lack."""
        words = [*self._pairs_for(trainer)]
        return dict(zip(words[::2], words[1::2], strict=True)).get(FEATURES) == "True"

    def _pairs_for(self, trainer: str) -> Iterable[str]:
        """The pairs behind -- whose keys a trainer reads."""
        pairs = self.request.pairs
        for key, value in zip(pairs[::2], pairs[1::2], strict=False):
            if reads(trainer, key):
                yield from (key, value)

    def _dataset(self, dataset: str) -> tuple[str, Pairs]:
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
    """A model of few-shot: its folder ("": none), the end of the folders of its tests, and what it is."""

    model: str
    end: str
    subject: Subject


def _deciding(command: Sequence[str]) -> Iterator[str]:
    """The words of a command that decide what comes of it; those of FREE don't."""
    words = iter(command)
    for word in words:
        if word in FREE:
            next(words, "")
        else:
            yield word


def each(planner: Planner, add: Callable[[str, str, str, str], object]) -> None:
    """Call `add` with every dataset, trainer, seed and number of shots of the request, in this order."""
    for dataset in planner.request.datasets:
        for trainer in planner.request.trainers:
            learned_on = planner.request.source if planner.request.setting == "transfer" else dataset
            for seed in planner.seeds(trainer, learned_on):
                for shots in planner.shots(trainer, learned_on):
                    add(dataset, trainer, seed, shots)


PLANS: dict[str, Callable[[Planner], Callable[[str, str, str, str], object]]] = {
    "phase1": lambda planner: planner.phase1,
    "base2new": lambda planner: partial(planner.base2new, f"{planner.request.output}/base2new"),
    "few_shot": lambda planner: partial(planner.few_shot, planner.request.output),
    "cross_dataset": lambda planner: planner.transfer,
    "domain_generalization": lambda planner: planner.transfer,
}
