"""What a dataset says of itself, and what holds for those that say nothing."""

from types import SimpleNamespace

import dassl.data
import pytest

from caspl.border.dataset_facts import DatasetFacts, takes_training_only


@pytest.mark.parametrize(
    "dataset", [SimpleNamespace(), SimpleNamespace(facts={"labelled": False}, origin="a host's own")]
)
def test_a_hosts_dataset_is_as_usual(dataset):
    assert DatasetFacts.of(dataset) == DatasetFacts(labelled=True, origin="", class_datasets=())


def test_a_dataset_says_what_is_not_as_usual():
    facts = DatasetFacts(labelled=False, origin="a pile")
    assert DatasetFacts.of(SimpleNamespace(facts=facts)) is facts


def test_a_word_that_nobody_asks_for_is_a_mistake():
    with pytest.raises(TypeError, match="labeled"):
        DatasetFacts(labeled=False)


def test_what_a_data_manager_loads():
    assert takes_training_only(dassl.data.DataManager)
    assert not takes_training_only(object)  # as upstream's, which does not say
