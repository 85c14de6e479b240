"""The report as people meet it: the command, the file, and the page in a real browser with no network."""

import json
import re
import shlex
import shutil
from dataclasses import asdict, replace
from html import unescape
from pathlib import Path

import pytest
from handmade import ACCURACY, RANKME, curve, run, sweep, write_sweep

from selector.cli import main
from selector.config import TrainConfig
from selector.metrics import CONSENSUS_KEY, METRICS
from selector.reports.html import page_of
from selector.reports.report import report_of
from selector.runs import Unreadable

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = "<script>alert(1)</script>"
WARNING = "</script><img src=x onerror=alert(2)>"


def page(*runs, metric=RANKME, **more):
    return page_of(report_of(sweep(*runs, **more), metric, ACCURACY))


def trained(id, *values, accuracy=None, **config):
    rows = curve(*((5 * i, value) for i, value in enumerate(values)), accuracy=accuracy)
    return run(id, milestones=rows, **config)


SWEEP = (
    trained("alpha", 10.0, 20.0, 31.5, accuracy=0.91, temperature=0.1),
    trained("beta", 10.0, 30.0, 9.25, accuracy=0.95, temperature=0.5),
    trained("gamma", 10.0, 15.0, 22.0, accuracy=0.71, temperature=0.2, name=EVIL),
)


def options_of_best(folder, *options, capsys):
    """The arguments of the `selector best` that a page prints."""
    assert main(["report", str(folder), *options, "--output", str(folder.parent / "page.html")]) == 0
    capsys.readouterr()
    text = unescape(re.sub("</?span>", "", (folder.parent / "page.html").read_text("utf-8")))
    (command,) = re.findall(r"selector (best .*?) --output best.yaml", text)
    return shlex.split(command)


@pytest.mark.parametrize(
    "options",
    [
        ["--metric=rankme", "--direction=min"],
        ["--metric=rankme", "--milestone=5"],
        ["--metric=own/score", "--direction=max", "--allow-mixed"],
    ],
)
def test_its_own_command_picks_the_run_that_it_shows(tmp_path, capsys, options):
    write_sweep(tmp_path / "runs of mine", *(own(one, float(i)) for i, one in enumerate(SWEEP)))
    command = options_of_best(tmp_path / "runs of mine", *options, capsys=capsys)
    assert main([*command, "--json"]) == 0
    (again,) = json.loads(capsys.readouterr().out)["best"]
    assert main(["best", str(tmp_path / "runs of mine"), *options, "--json"]) == 0
    (meant,) = json.loads(capsys.readouterr().out)["best"]
    assert again == meant
    assert main(["best", str(tmp_path / "runs of mine"), "--metric=rankme", "--json"]) == 0
    (plain,) = json.loads(capsys.readouterr().out)["best"]
    assert plain["run"] == "alpha"
    assert meant["run"] != "alpha"


def own(run, score):
    last = run.milestones[-1]
    return replace(
        run, milestones=(*run.milestones[:-1], replace(last, values={**last.values, "own/score": score}))
    )


def test_the_command_that_repeats_the_pick_keeps_its_words():
    alpha = trained("alpha", 10.0, 20.0, **asdict(TrainConfig(dataset="folder", data_dir="/my  photos/a")))
    text = page(alpha)
    command = re.search(r'Repeat it:</p><pre class="command"><code>(.*?)</code>', text)[1]
    words = [unescape(word) for word in re.findall(r"<span>(.*?)</span>", command)]
    assert "--data-dir=/my  photos/a" in shlex.split(" ".join(words))


def test_an_oracle_of_which_less_is_better(tmp_path, capsys):
    errors = zip(SWEEP, (0.1, 0.3, 0.5), strict=True)
    write_sweep(tmp_path / "runs", *(own(one, error) for one, error in errors))
    arguments = ["--metric=rankme", "--oracle=own/score", "--output", str(tmp_path / "page.html")]
    assert main(["report", str(tmp_path / "runs"), *arguments, "--oracle-direction=min"]) == 0
    text = (tmp_path / "page.html").read_text("utf-8")
    assert '>0.000</span><span class="name">selection regret<' in text  # alpha has the least error


def test_a_page_that_cannot_be_written_is_one_line(tmp_path, capsys):
    write_sweep(tmp_path / "runs", *SWEEP)
    assert main(["report", str(tmp_path / "runs"), "--output", str(tmp_path / "no" / "page.html")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"selector: cannot write .*page.html: No such file or directory", last)


def test_the_page_names_the_software_that_made_the_runs():
    alpha, *others = SWEEP
    text = page(replace(alpha, versions="torch 9.8.7 <b>"), *(replace(one, versions="") for one in others))
    assert "<dt>made by</dt><dd>torch 9.8.7 &lt;b&gt;</dd>" in text
    assert text.count("<dt>made by</dt>") == 1


def test_the_page_names_no_address():
    text = page(*SWEEP)
    ours = text[: text.index("plotly.js v")] + text[text.rindex('"use strict"') :]
    assert not re.search(r"""(src|href|action)\s*=|@import|url\(|https?://""", ours)
    assert "default-src 'none'" in text


def test_names_never_become_markup():
    runs = sweep(*SWEEP, unreadable=(Unreadable(EVIL, WARNING),), warnings=(WARNING,))
    text = page_of(report_of(runs, RANKME, ACCURACY))
    assert EVIL not in text
    assert WARNING not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_a_page_without_labels_leaves_out_what_labels_say():
    text = page(trained("a", 1.0, 3.0), trained("b", 1.0, 2.0))
    assert "What the choice cost" not in text
    assert 'id="g0-scatter"' not in text
    assert 'id="g0-choices"' not in text
    assert 'id="g0-stopping"' not in text
    assert 'id="g0-curves"' in text


def test_groups_that_cannot_be_compared_have_sections_of_their_own():
    text = page(*SWEEP, trained("delta", 1.0, 2.0, accuracy=0.5, method="simsiam"))
    assert text.count('<div class="group"') == 2
    assert '<select id="group">' in text


# In the browser.


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Opened:
    """A page opened from disk with the network off, and everything that it complained of or asked for."""

    def __init__(self, browser, text, folder: Path, **context):
        path = folder / "report.html"
        path.write_text(text, encoding="utf-8")
        self.context = browser.new_context(offline=True, **context)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def column(self, title):
        """Texts of a column of the ranking, in the rows' order, hidden rows left out."""
        return self.page.evaluate(
            """title => {
              const table = document.querySelector("table.ranking");
              const head = [...table.tHead.rows[0].cells].findIndex(cell => cell.textContent === title);
              const shown = [...table.tBodies[0].rows].filter(row => !row.hidden);
              return shown.map(row => row.cells[head].textContent);
            }""",
            title,
        )

    def draw_all(self):
        """Scrolls through the page, as a reader does."""
        for chart in self.page.locator(".chart").all():
            chart.scroll_into_view_if_needed()
            chart.locator(".main-svg").first.wait_for(timeout=10_000)


@pytest.fixture
def opened(browser, tmp_path):
    made = Opened(browser, page(*SWEEP), tmp_path)
    yield made
    made.context.close()


def test_charts_are_drawn_without_a_complaint_or_a_request(opened):
    opened.draw_all()
    assert opened.page.locator(".chart .main-svg").count() >= 6
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def test_a_name_that_is_a_script_is_shown_as_text(opened):
    assert EVIL in opened.page.locator("table.ranking").inner_text()
    assert opened.complaints == []


def test_columns_sort_by_click_as_numbers(opened):
    assert opened.column("rankme") == ["31.50", "22.00", "9.250"]
    opened.page.get_by_role("button", name="rankme").first.click()
    assert opened.column("rankme") == ["9.250", "22.00", "31.50"]
    opened.page.get_by_role("button", name="rankme").first.click()
    assert opened.column("rankme") == ["31.50", "22.00", "9.250"]
    opened.page.get_by_role("button", name="temperature").first.click()
    assert opened.column("temperature") == ["0.1", "0.2", "0.5"]


def test_the_filter_hides_what_does_not_match(opened):
    opened.page.locator("input.filter").first.fill("bet")
    assert opened.column("run") == ["beta"]
    assert opened.page.locator(".count").first.inner_text() == "1 of 3 runs"
    opened.page.locator("input.filter").first.fill("")
    assert len(opened.column("run")) == 3


def test_another_metric_is_drawn_along_training(opened):
    choice = opened.page.locator("select.metric").first
    choice.scroll_into_view_if_needed()
    choice.select_option(label="linear_probe_accuracy")
    title = opened.page.locator("#g0-curves .ytitle")
    title.wait_for()
    assert title.text_content() == "linear_probe_accuracy: higher is better"


def test_the_page_follows_the_colour_scheme(opened):
    opened.draw_all()
    light = opened.page.locator("#g0-scatter .xtitle").evaluate("node => node.style.fill")
    opened.page.emulate_media(color_scheme="dark")
    opened.page.wait_for_function(
        "light => document.querySelector('#g0-scatter .xtitle').style.fill !== light", arg=light
    )
    assert opened.complaints == []


# Six hyperparameters, and a metric and an oracle beside them.
NAMES = ("weight_decay", "crop_scale_min", "predictor_hidden", "color_jitter_strength", "onelongwordasaname")
WIDE = tuple(
    trained(
        f"run{i}",
        1.0,
        1000.0 + i,
        accuracy=0.9712 + i / 1e4,
        temperature=i,
        learning_rate=0.1,
        **dict.fromkeys(NAMES, i / 7),
    )
    for i in range(1, 5)
)
LOGGED = [metric.key for metric in METRICS if metric.key != CONSENSUS_KEY][:20]
MANY = tuple(run(f"r{i}", values={key: i * k % 23 for k, key in enumerate(LOGGED, 1)}) for i in range(1, 6))

OUTSIDE = """() => {
  const room = document.documentElement.clientWidth, found = [];
  for (const chart of document.querySelectorAll(".chart")) {
    const frame = chart.getBoundingClientRect();
    for (const mark of chart.querySelectorAll(
        ".point, .js-line, .hm image, .xtick text, .ytick text, .annotation-text, .gtitle, .legendtext")) {
      const box = mark.getBoundingClientRect();
      const left = Math.max(0, frame.left) - 1, right = Math.min(room, frame.right) + 1;
      if (box.width && (box.left < left || box.right > right))
        found.push(`${chart.id}: ${mark.textContent || mark.getAttribute("class")}`);
    }
  }
  return found;
}"""


@pytest.mark.parametrize("width", [390, 360])
@pytest.mark.parametrize("runs", [SWEEP, WIDE, MANY], ids=["few", "wide", "many"])
def test_no_mark_lies_outside_a_phones_screen(browser, tmp_path, runs, width):
    phone = Opened(browser, page(*runs), tmp_path, viewport={"width": width, "height": 800})
    assert phone.page.locator(".chart:empty").count() > 0  # what is not in view has yet to be drawn
    phone.draw_all()
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= width
    assert phone.page.evaluate(OUTSIDE) == []
    phone.context.close()


def test_the_run_of_a_row_stays_while_its_table_is_scrolled(browser, tmp_path):
    phone = Opened(browser, page(*WIDE), tmp_path, viewport={"width": 390, "height": 800})
    left = phone.page.evaluate("""() => {
      const table = document.querySelector("table.ranking"), cell = table.tBodies[0].rows[0].cells[1];
      const before = cell.getBoundingClientRect().left;
      table.parentElement.scrollLeft = 200;
      return [table.parentElement.scrollLeft, cell.getBoundingClientRect().left - before];
    }""")
    assert left[0] == 200
    assert abs(left[1]) < 30  # the run's column stays, close to the edge
    phone.context.close()


def test_paper_is_white_and_as_wide_as_a_page(browser, tmp_path):
    dark = Opened(
        browser, page(*SWEEP), tmp_path, color_scheme="dark", viewport={"width": 1200, "height": 800}
    )
    look = """() => [...document.querySelectorAll(".chart")].map(chart => [
        chart.querySelector(".main-svg").clientWidth,
        (chart.querySelector(".xtick text") ?? chart.querySelector(".annotation-text")).style.fill
    ])"""
    dark.draw_all()
    screen = dark.page.evaluate(look)
    dark.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    printed = dark.page.evaluate(look)
    assert max(width for width, _ in printed) <= 700  # A4 at 96 dpi, without its margins, is 718 wide
    assert {fill for _, fill in printed} == {"rgb(28, 36, 48)"}  # --ink of the light page
    dark.page.emulate_media(media="print")
    card = dark.page.locator(".card").first.evaluate("card => getComputedStyle(card).color")
    assert card == "rgb(28, 36, 48)"
    dark.page.emulate_media(media="screen")
    dark.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    dark.page.wait_for_function(
        f"before => JSON.stringify(({look})()) === JSON.stringify(before)", arg=screen
    )
    assert {fill for _, fill in screen} == {"rgb(230, 237, 243)"}
    assert dark.complaints == []
    dark.context.close()


def test_a_table_of_many_columns_fits_the_paper(browser, tmp_path):
    wide = Opened(browser, page(*WIDE), tmp_path, viewport={"width": 718, "height": 1000})  # A4 at 96 dpi
    wide.page.emulate_media(media="print")
    folded = wide.page.locator("details").first
    assert not folded.evaluate("details => details.open")
    wide.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert wide.page.evaluate(OUTSIDE) == []
    table = wide.page.locator("table.ranking")
    assert table.evaluate("table => table.offsetWidth <= table.parentElement.clientWidth")
    assert folded.evaluate("details => details.open")
    wide.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert not folded.evaluate("details => details.open")
    wide.context.close()


@pytest.mark.parametrize(("width", "numbers"), [(1280, 400), (360, 0)])
def test_every_metric_of_the_heat_map_is_named_on_a_phone(browser, tmp_path, width, numbers):
    shown = Opened(browser, page(*MANY), tmp_path, viewport={"width": width, "height": 800})
    shown.draw_all()
    assert shown.page.locator("#g0-heatmap .ytick text").count() == 20
    assert shown.page.locator("#g0-heatmap .xtick text").count() == 20
    assert shown.page.locator("#g0-heatmap .heatmap-label").count() == numbers  # a phone has no room for them
    shown.context.close()


def test_without_labels_the_page_has_no_complaint(browser, tmp_path):
    bare = Opened(browser, page(trained("a", 1.0, 3.0), trained("b", 1.0, 2.0), metric=RANKME), tmp_path)
    bare.draw_all()
    assert bare.complaints == []
    bare.context.close()
