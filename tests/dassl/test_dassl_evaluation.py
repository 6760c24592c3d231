import pytest
import torch
from dassl.evaluation import EVALUATOR_REGISTRY, Classification, EvaluatorBase, build_evaluator
from dassl.metrics import compute_accuracy
from dassl.utils import InputError
from torch.nn import functional as F

NAMES = {0: "ant", 1: "bee", 2: "cat", 3: "dog"}
# Class 3 is never the truth but predicted once: it must not enter the macro F1
TRUE = [0, 0, 0, 0, 1, 1, 2]
PREDICTED = [0, 0, 0, 1, 1, 3, 2]


def evaluate(cfg, copies=1):
    evaluator = build_evaluator(cfg, lab2cname=NAMES)
    assert isinstance(evaluator, Classification) and isinstance(evaluator, EvaluatorBase)
    evaluator.reset()
    true, predicted = torch.tensor(TRUE * copies), torch.tensor(PREDICTED * copies)
    for part in range(0, len(true), 4):
        scores = F.one_hot(predicted[part : part + 4], 4).float()
        evaluator.process(scores, true[part : part + 4])
    return evaluator.evaluate()


def test_result_block(make_cfg, caplog):
    results = evaluate(make_cfg(), copies=600)
    # F1 by hand: ant 2*3/(2*3+0+1) = 6/7, bee 2*1/(2*1+1+1) = 1/2, cat 1
    expected = 100 * (6 / 7 + 1 / 2 + 1) / 3
    assert list(results) == ["accuracy", "error_rate", "macro_f1"]
    assert results["accuracy"] == pytest.approx(500 / 7) and results["macro_f1"] == pytest.approx(expected)
    assert all(type(value) is float for value in results.values())
    assert caplog.messages[-1].split("\n") == [
        "=> result",
        "* total: 4,200",
        "* correct: 3,000",
        "* accuracy: 71.4%",
        "* error: 28.6%",
        "* macro_f1: 78.6%",
    ]


def test_per_class_and_confusion(make_cfg, caplog, tmp_path):
    results = evaluate(make_cfg(TEST__PER_CLASS_RESULT=True, TEST__COMPUTE_CMAT=True))
    assert results["perclass_accuracy"] == pytest.approx((75 + 50 + 100) / 3)
    assert caplog.messages[-2].split("\n") == [
        "=> per-class result",
        "* class: 0 (ant)\ttotal: 4\tcorrect: 3\tacc: 75.0%",
        "* class: 1 (bee)\ttotal: 2\tcorrect: 1\tacc: 50.0%",
        "* class: 2 (cat)\ttotal: 1\tcorrect: 1\tacc: 100.0%",
        "* average: 75.0%",
    ]
    path = tmp_path / "out" / "cmat.pt"
    assert caplog.messages[-1] == f"Confusion matrix is saved to {path}"
    matrix = torch.load(path, weights_only=True)
    expected = [[0.75, 0.25, 0, 0], [0, 0.5, 0, 0.5], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert torch.equal(matrix, torch.tensor(expected, dtype=torch.float64))


def test_reset_and_mistakes(make_cfg):
    evaluator = build_evaluator(make_cfg())
    evaluator.process(torch.eye(4), torch.tensor([1, 1, 1, 1]))
    evaluator.reset()
    evaluator.process(torch.eye(4), torch.arange(4))
    assert evaluator.evaluate()["accuracy"] == 100.0
    with pytest.raises(InputError, match="needs the class names"):
        build_evaluator(make_cfg(TEST__PER_CLASS_RESULT=True))
    with pytest.raises(InputError, match=r'"Classifier" \(do you mean "Classification"'):
        build_evaluator(make_cfg(TEST__EVALUATOR="Classifier"))
    assert EVALUATOR_REGISTRY.registered_names() == ["Classification"]


def test_compute_accuracy():
    scores = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    target = torch.tensor([1, 1, 0, 0])
    top1, top2 = compute_accuracy(scores, target, topk=(1, 2))
    assert top1.shape == (1,) and top1.item() == 50.0 and top2.item() == 75.0
    assert compute_accuracy((scores, None), target)[0].item() == 50.0
