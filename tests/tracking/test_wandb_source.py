import pytest

from selector.errors import UserError
from selector.tracking.wandb_source import WandbSource, parse_source, service_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("team/project/abc", WandbSource("team", "project", sweep="abc")),
        ("team/project/sweeps/abc", WandbSource("team", "project", sweep="abc")),
        (" /team/project/ ", WandbSource("team", "project")),
        ("team/project/table", WandbSource("team", "project")),
        (
            "https://wandb.ai/team/project/sweeps/abc?nw=nwuser#charts",
            WandbSource("team", "project", sweep="abc", host="wandb.ai"),
        ),
        ("https://wandb.ai/team/my%20project", WandbSource("team", "my project", host="wandb.ai")),
        (
            "https://forge.coreweave.com/wandb/team/project/sweeps/abc",
            WandbSource("team", "project", sweep="abc", host="forge.coreweave.com"),
        ),
        (
            "http://127.0.0.1:8080/team/project/groups/night/workspace",
            WandbSource("team", "project", group="night", host="127.0.0.1"),
        ),
        ("https://wandb.ai/team/project/workspace", WandbSource("team", "project", host="wandb.ai")),
        ("https://wandb.ai/wandb/project", WandbSource("wandb", "project", host="wandb.ai")),
    ],
)
def test_paths_and_urls(text: str, expected: WandbSource):
    assert parse_source(text) == expected


@pytest.mark.parametrize(
    "text", ["", "abc", "a/b/c/d", "https://wandb.ai", "https://wandb.ai/team", "https://wandb.ai/t/p/abc"]
)
def test_what_is_neither_is_refused(text: str):
    with pytest.raises(UserError, match="is no sweep or project: name a sweep as entity/project/sweep_id"):
        parse_source(text)


def test_a_run_is_told_from_a_sweep():
    with pytest.raises(UserError, match="is the run x1, not a sweep"):
        parse_source("https://wandb.ai/team/project/runs/x1/overview")


def test_names_cannot_move_the_cursor():
    with pytest.raises(UserError) as error:
        parse_source("\x1b[2J\nx")
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("wandb.ai", "cloud"),
        ("api.wandb.ai", "cloud"),
        ("api.forge.coreweave.com", "cloud"),
        ("evilwandb.ai", "evilwandb.ai"),
        ("wandb.example.org", "wandb.example.org"),
    ],
)
def test_services(host: str, service: str):
    assert service_of(host) == service
