"""Scoring on Ray: a file for each shard, the same on any number of actors, and nothing done twice."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.command import InputError
from pipeline.scoring import stage
from pipeline.scoring.config import ClassifierConfig, ScoringConfig, SimilarityConfig
from pipeline.scoring.scores import Score, ShardToScore, counts_if_answered, read_scores, scores_of, write_scores
from pipeline.scoring.stage import pool_size, score_shards
from shards.location import Location, locate
from shards.shard import write_shard

SHARDS, DOCUMENTS = 2, 4


@pytest.fixture
def shards(make_document, tmp_path) -> list[ShardToScore]:
    """Two shards of four documents with two pictures each, one of which cannot be decoded."""
    folder, made = locate(str(tmp_path / "in")), list[ShardToScore]()
    for number in range(SHARDS):
        documents = [
            make_document(place, [place, "a red sky", place + 50 if place != 1 else -1, "blue"])
            for place in range(DOCUMENTS * number, DOCUMENTS * (number + 1))
        ]
        record = write_shard(folder, f"s{number}", documents)
        made.append(ShardToScore(id=f"in-{record.name}", tar=folder / f"{record.name}.tar", sha256=record.sha256))
    return made


@pytest.fixture
def config(tiny_model) -> ScoringConfig:
    return ScoringConfig(
        classifiers=[ClassifierConfig(model=tiny_model("classifier"), measures={"nsfw": ["porn", "hentai"]})],
        similarity=SimilarityConfig(model=tiny_model("clip")),
        batch=3,
    )


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("ray_cluster")
def test_each_shard_gets_its_scores_once_and_the_same_on_any_number_of_actors(
    shards, config, tmp_path, monkeypatch, capsys
):
    one, other = (locate(str(tmp_path / name)) for name in ("one", "other"))
    monkeypatch.setattr(stage, "pool_size", lambda on_gpus: 2)
    counts = score_shards(one, shards, config)
    images, texts = 2 * SHARDS * DOCUMENTS - 1, 2 * SHARDS * DOCUMENTS
    assert counts == {"images": images, "unscored": 1, "texts": texts, "texts_cut": 0}
    assert capsys.readouterr().out == (
        f"models saw {images} images, 1 could not be decoded; they read {texts} paragraphs, 0 of them cut where a "
        "model's length ends\n"
    )
    found = files(tmp_path / "one")
    assert set(found) == {f"scores/in-s{number}.parquet" for number in range(SHARDS)}

    monkeypatch.setattr(stage, "pool_size", lambda on_gpus: 1)
    assert score_shards(other, shards, config) == counts
    assert files(tmp_path / "other") == found

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}
    (tmp_path / "one" / "scores" / "in-s1.parquet").unlink()
    assert score_shards(one, shards, config) == counts
    assert files(tmp_path / "one") == found
    untouched = tmp_path / "one" / "scores" / "in-s0.parquet"
    assert untouched.stat().st_mtime_ns == before[untouched]


@pytest.mark.usefixtures("ray_cluster")
def test_another_model_scores_again_and_says_which_it_was(shards, config, tiny_model, tmp_path):
    output = locate(str(tmp_path / "out"))
    score_shards(output, shards[:1], config)
    constant = ClassifierConfig(model=tiny_model("constant"), measures={"nsfw": ["porn", "hentai"]})
    score_shards(output, shards[:1], ScoringConfig(classifiers=[constant]))
    file = tmp_path / "out" / "scores" / "in-s0.parquet"
    table = pq.read_table(file)
    values = [row["value"] for row in table.to_pylist() if row["name"] == "nsfw"]
    assert values == pytest.approx([5 / 6] * (2 * DOCUMENTS - 1))
    request = json.loads((pq.read_metadata(file).metadata or {})[b"request"])
    assert request["shard"] == shards[0].sha256
    assert request["classifiers"][0]["model"] == tiny_model("constant")
    assert request["classifiers"][0]["revision"].startswith("sha256:")


@pytest.mark.usefixtures("ray_cluster")
def test_scores_are_kept_for_runs_with_other_thresholds(shards, config, tmp_path, monkeypatch):
    config = replace(config, keep=str(tmp_path / "kept"))
    one, other = (locate(str(tmp_path / name)) for name in ("one", "other"))
    counts = score_shards(one, shards, config)
    assert len(list((tmp_path / "kept").iterdir())) == SHARDS
    assert not (tmp_path / "one" / "kept").exists()

    works = list[object]()
    run_on_ray = stage._run_on_ray
    monkeypatch.setattr(stage, "_run_on_ray", lambda *given: works.extend(given[1]) or run_on_ray(*given))
    renamed = [replace(shard, id=f"new-{shard.id}") for shard in shards]
    assert score_shards(other, renamed, config) == counts
    assert works == [], "nothing is asked of the models again"
    renamed_files = {name.replace("in-", "new-in-"): data for name, data in files(tmp_path / "one").items()}
    assert files(tmp_path / "other") == renamed_files


@pytest.mark.usefixtures("ray_cluster")
def test_models_that_cannot_be_loaded_are_one_sentence(shards, tiny_model, tmp_path):
    output = locate(str(tmp_path / "out"))
    for model, message in (("/no/model", "is no folder"), (tiny_model("headless"), "lacks 2 of the weights")):
        wrong = ScoringConfig(classifiers=[ClassifierConfig(model=model, measures={"nsfw": ["porn"]})])
        with pytest.raises(InputError, match=message):
            score_shards(output, shards, wrong)
    assert not (tmp_path / "out" / "scores").exists()


@pytest.mark.usefixtures("ray_cluster")
def test_one_cpu_stays_free():
    assert pool_size(on_gpus=False) == 3


def test_no_model_no_work(tmp_path):
    assert score_shards(locate(str(tmp_path)), [], ScoringConfig()) == {}


@pytest.fixture
def location(tmp_path) -> Location:
    return scores_of(locate(str(tmp_path)), "shard")


def test_scores_come_back_by_document(location):
    scores = [
        Score(key="b", medium=0, name="nsfw", value=0.25),
        Score(key="a", medium=2, name="nsfw", value=0.5),
        Score(key="b", medium=1, name="unscored", value=1.0),
        Score(key="b", medium=0, name="similarity", value=-0.5, paragraph=0),
        Score(key="b", medium=0, name="similarity", value=0.75, paragraph=3),
    ]
    write_scores(location, iter(scores), {"model": "m"}, {"images": 3})
    found = read_scores(location)
    assert found.of("a").measures == {2: {"nsfw": 0.5}}
    assert found.of("b").measures == {0: {"nsfw": 0.25}, 1: {"unscored": 1.0}}
    assert found.of("b").similarity == {(0, 0): -0.5, (0, 3): 0.75}
    assert found.of("b").of_image(0, [0, 1, 2, 3]) == {"nsfw": 0.25, "similarity": 0.75}
    assert found.of("b").of_image(0, [0, 1]) == {"nsfw": 0.25, "similarity": -0.5}
    assert found.of("b").of_image(0, [1]) == {"nsfw": 0.25}
    assert found.of("c").of_image(0, [1]) == {}


def test_scores_answer_the_request_that_they_were_made_for(location):
    assert counts_if_answered(location, {"model": "m"}) is None
    write_scores(location, iter([]), {"model": "m"}, {"images": 0})
    assert counts_if_answered(location, {"model": "m"}) == {"images": 0}
    assert counts_if_answered(location, {"model": "n"}) is None
    assert read_scores(location).of("a").measures == {}


def test_scores_are_written_in_parts(location, monkeypatch):
    monkeypatch.setattr("pipeline.scoring.scores.ROWS", 3)
    scores = (Score(key=str(number % 4), medium=number, name="nsfw", value=0.0) for number in range(10))
    write_scores(location, scores, {}, {})
    assert pq.read_metadata(location.path).num_row_groups == 4
    assert sorted(read_scores(location).of("1").measures) == [1, 5, 9]
