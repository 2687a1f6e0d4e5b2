"""The documents say what the code does: generated pages are fresh, every name is documented."""

import importlib
import json
import re
import runpy
from pathlib import Path

import pytest

import seepage
from seepage.attacks import ATTACKS
from seepage.audit import prepare
from seepage.data import DATASETS
from seepage.defenses import DEFENSES
from seepage.models import MODELS
from seepage.study import build_study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"]


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_fresh(name):
    written = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "run: python docs/generate.py"


@pytest.mark.parametrize("name", [*ATTACKS, *sorted(set(DEFENSES) - {"none"}), *DATASETS, *MODELS])
def test_every_name_is_in_the_readme(name):
    assert f"`{name}`" in README


def test_the_readme_shows_every_attack_of_the_default_audit():
    """Its table has a row for each attack on a client, and counts them in its sentence."""
    attacks = prepare(build_study({})).attacks
    expected = {name for name, attack in attacks.items() if attack.over == "client"}
    table = README.split("attack  ", 1)[1].split("chance  ", 1)[0]
    assert {line.split()[0] for line in table.splitlines()[1:]} == expected
    assert f"for having tried {len(expected)} attacks." in README


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("docs/**/*.md")), ROOT / "README.md"], ids=str)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s,]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", ["seepage", *(f"seepage.{stage}" for stage in seepage._STAGES)])
def test_public_names_resolve(name):
    module = importlib.import_module(name)
    names = getattr(module, "__all__", [])
    assert list(names) == sorted(names, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    assert all(hasattr(module, public) for public in names)


def test_results_json_is_covered_by_the_schema(tmp_path):
    import jsonschema

    study = {
        "data": {"clients": 4, "per_client": 20, "held_out": 40},
        "federation": {"rounds": 1},
        "attacks": {"names": ["loss_series"]},
    }
    seepage.run(study, out=tmp_path / "run")
    schema = json.loads((ROOT / "docs" / "reference" / "results.schema.json").read_text())
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    jsonschema.validate(found, schema)
    found["attacks"][0]["auc"] = 1.5
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found, schema)


def test_the_version_is_one():
    assert f'version = "{seepage.__version__}"' in (ROOT / "pyproject.toml").read_text()
