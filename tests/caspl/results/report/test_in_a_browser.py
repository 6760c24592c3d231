"""The page where it is really shown: it sorts, copies, opens and filters, asks for nothing, and fits into every window."""

import re

import pytest

import browser as driver
from browser import CHROMIUM, Browser, Silent
from caspl.results.report.__main__ import main as report
from logs_made import made, put
from runs_made import digits, predicted

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")]
WIDTHS = (360, 1600)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    try:
        one = Browser(tmp_path_factory.mktemp("profile"))
    except Silent as why:
        pytest.skip(f"{CHROMIUM} does not run on this machine: {why}")
    with one:
        yield one


@pytest.mark.parametrize("program", ["exit 1", "sleep 100"])
def test_a_browser_that_does_not_run_is_not_waited_for(tmp_path, monkeypatch, program):
    stand_in = tmp_path / "chromium"
    stand_in.write_text(f"#!/bin/sh\n{program}\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(driver, "CHROMIUM", str(stand_in))
    monkeypatch.setattr(driver, "SECONDS", 0.5)
    with pytest.raises(Silent):
        Browser(tmp_path)


@pytest.fixture
def page(sweep):
    return sweep / "report.html"


def column(browser, place, table="#base-to-new"):
    rows = f"[...document.querySelectorAll('{table} tbody tr')]"
    return browser.value(f"{rows}.map((row) => row.cells[{place}].textContent)")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_into_the_window_and_asks_for_nothing(browser, page, width, dark):
    browser.show(page, width, dark=dark)
    browser.value("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert browser.value("document.documentElement.scrollWidth") == width
    assert not browser.complaints
    assert browser.asked == [page.as_uri()]


LONG = "W" * 200


@pytest.mark.parametrize("width", WIDTHS)
def test_long_names_make_no_page_wider(browser, tmp_path, width):
    names = [LONG, f"{LONG}X", "</svg><script>document.title = 'taken'</script>"]
    predicted(tmp_path, [0, 1, 2, 0], [1, 2, 0, 0], [0.9] * 4, names=names)
    put(tmp_path, f"oxford_pets/CoOp/{LONG}_1shots/seed1", made(70, shots=1))
    digits(tmp_path, "CasPL_CoOp", command=["--trainer", LONG], **{"protocol.unlabelled": LONG[:150]})
    assert report([str(tmp_path)]) == 0
    browser.show(tmp_path / "report.html", width)
    browser.value("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert browser.value("document.documentElement.scrollWidth") == width
    assert not browser.complaints and browser.value("document.title") == f"Results of {tmp_path.name}"


def test_on_a_phone_a_table_begins_with_a_number_in_sight(browser, page):
    browser.show(page, 360)
    for place in ("base-to-new", "certainty-2"):
        right = f"document.querySelector('#{place} tbody tr:last-child td:nth-of-type(2)').getBoundingClientRect().left"
        assert browser.value(right) < 300


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_can_be_read_in_both_themes(browser, page, dark):
    """Contrast of at least 4.5 to 1 of all text that has a colour, as WCAG asks for."""
    browser.show(page, 1600, dark=dark)
    found = browser.value("""
        (() => {
          document.querySelectorAll('details').forEach((one) => (one.open = true));
          const light = (color) => {
            const part = color.match(/[\\d.]+/g).slice(0, 3).map((value) => value / 255)
              .map((value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
            return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
          };
          const paper = light(getComputedStyle(document.body).backgroundColor);
          const seen = new Map();
          for (const one of document.querySelectorAll('body :not(title, script)')) {
            if (![...one.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())) continue;
            const style = getComputedStyle(one);
            const ink = light(one.namespaceURI.endsWith('svg') ? style.fill : style.color);
            seen.set(one.tagName + '.' + one.getAttribute('class'),
              (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05));
          }
          return [...seen];
        })()""")
    assert len(found) > 10 and not [pair for pair in found if pair[1] < 4.5]


def test_a_click_sorts_and_the_third_one_puts_back(browser, page):
    browser.show(page, 1600)
    before, button = column(browser, 5), "#base-to-new th:nth-child(6) button"
    state = "document.querySelector('#base-to-new th:nth-child(6)').ariaSort"
    numbers = sorted(before, key=lambda text: float(text.split()[0]))
    for expected, said in ((numbers[::-1], "descending"), (numbers, "ascending"), (before, "none")):
        browser.click(button)
        assert column(browser, 5) == expected and browser.value(state) == said
    browser.click("#base-to-new th:nth-child(2) button")
    assert column(browser, 1) == sorted(column(browser, 1))
    assert not browser.complaints


def test_the_keyboard_sorts(browser, page):
    browser.show(page, 1600)
    browser.value("document.querySelector('#base-to-new th:nth-child(4) button').focus()")
    browser.press("Enter", 13)
    numbers = [float(text.split()[0]) for text in column(browser, 3)]
    assert numbers == sorted(numbers, reverse=True) != []


TABLE = """<div id="base-to-new"><table class="sortable"><thead><tr><th class="name">method</th><th>HM</th></tr></thead><tbody>
<tr><th>b</th><td>9.50 ± 1.00</td></tr><tr class="published"><th>b, published</th><td>99.00 (-1.00)</td></tr>
<tr><th>a</th><td>-</td></tr><tr><th>c</th><td>10.00</td></tr><tr class="published"><th>c, published</th><td>1.00</td></tr>
<tr class="average"><th>c</th><td>8.00</td></tr><tr class="average"><th>d</th><td>1,000.00</td></tr></tbody></table></div>"""


def test_what_belongs_together_stays_together(browser, page, tmp_path):
    """Numbers by their value, nothing last, published numbers behind their row, averages at the end."""
    text = page.read_text(encoding="utf-8")
    other = tmp_path / "page.html"
    body = text[text.index("<main>") : text.index("</main>")]
    other.write_text(text.replace(body, f"<main>{TABLE}<section id='runs'></section>"), encoding="utf-8")
    browser.show(other, 1600)
    browser.click("#base-to-new th:nth-child(2) button")
    assert column(browser, 0) == ["c", "c, published", "b", "b, published", "a", "d", "c"]
    browser.click("#base-to-new th:nth-child(2) button")
    assert column(browser, 0) == ["b", "b, published", "c", "c, published", "a", "c", "d"]
    browser.click("#base-to-new th:nth-child(1) button")
    assert column(browser, 0) == ["a", "b", "b, published", "c", "c, published", "c", "d"]
    assert not browser.complaints


def test_a_number_leads_to_its_commands(browser, page):
    browser.show(page, 1600)
    visible = "[...document.querySelectorAll('details.row[open] pre')].map((pre) => pre.textContent)"
    assert browser.value(visible) == []
    browser.click("#base-to-new tbody tr:nth-child(3) td:nth-child(6) a")
    top = "document.querySelector('details.row[open] summary')?.getBoundingClientRect().top"
    browser.until(f"{top} >= 0 && {top} < 100")
    commands = browser.value(visible)
    assert len(commands) == 4 and all("--trainer CasPL_CoOp" in command for command in commands)
    links = browser.value("[...document.querySelectorAll('details.row[open] .facts a')].map((link) => link.href)")
    assert len(links) == 4 and all(re.fullmatch(r"file:///.+/run\.json", link) for link in links)


def test_a_link_from_elsewhere_opens_its_place(browser, page):
    browser.show(page, 1600, anchor="run-3")
    browser.until("document.getElementById('run-3').closest('details').open")


def test_a_command_is_copied(browser, page):
    browser.show(page, 1600, anchor="row-1")
    browser("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    browser.click("#row-1 .command button")
    browser.until("document.querySelector('#row-1 .command button').textContent === 'copied'")
    text = browser.value("document.querySelector('#row-1 .command pre').textContent")
    assert text.startswith("caspl train ") and browser.value("navigator.clipboard.readText()") == text


def test_the_runs_are_filtered(browser, page):
    browser.show(page, 1600)
    browser.value(
        "(() => { const field = document.querySelector('.filter input'); field.value = 'caspl digits';"
        "field.dispatchEvent(new Event('input')); })()"
    )
    shown = browser.value(
        "[...document.querySelectorAll('#runs details.row:not([hidden]) .method')].map((one) => one.textContent)"
    )
    assert shown == ["CoOp + CasPL"]


def test_without_its_script_nothing_is_missing(browser, page):
    browser.show(page, 1600, script=False)
    browser.show(page, 1600)
    with_script = browser.value("document.querySelectorAll('td').length")
    assert with_script > 20
    browser.show(page, 360, script=False, anchor="row-1")
    browser("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.value("document.querySelectorAll('td').length") == with_script
    assert browser.value("document.querySelectorAll('button').length") == 0
    assert browser.value("document.querySelectorAll('#runs details.row').length") == 3


def test_a_foreign_script_does_not_run(browser, page, tmp_path):
    text = page.read_text(encoding="utf-8")
    other = tmp_path / "page.html"
    foreign = (
        "<script>document.title = 'taken'</script><style>body { display: none }</style>"
        "<img src=x onerror=\"document.title = 'taken'\"><img src='https://example.org/x.png'>"
    )
    other.write_text(text.replace("<main>", f"<main>{foreign}"), encoding="utf-8")
    browser.show(other, 1600)
    assert browser.value("document.title") != "taken"
    assert browser.value("getComputedStyle(document.body).display") == "block"
    assert browser.complaints and browser.asked == [other.as_uri()]
