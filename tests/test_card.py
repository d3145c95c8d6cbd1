import shutil

import pytest
from huggingface_hub import ModelCard

from scen_hf import EditPack, EditPackError, SCENLlamaForCausalLM
from scen_hf.card import model_card


@pytest.fixture
def pack_copy(tiny_pack_folder, tmp_path):
    return shutil.copytree(tiny_pack_folder, tmp_path / "pack")


def test_card_lists_the_facts_and_how_to_load_them(pack_copy):
    card = ModelCard.load(pack_copy / "README.md")
    assert card.data.library_name == "transformers"
    edit = EditPack.from_pretrained(pack_copy).edits[0]
    assert f"| {edit.prompt} | {edit.target} |" in card.text
    assert "trust_remote_code=True" in card.text


def test_own_text_survives_a_new_save(pack_copy):
    path = pack_copy / "README.md"
    path.write_text(path.read_text() + "\nAsk Ada before you change facts.\n")
    removed = EditPack.from_pretrained(pack_copy).edits[0]
    EditPack.from_pretrained(pack_copy).remove([removed.id]).save_pretrained(pack_copy)
    EditPack.from_pretrained(pack_copy).save_pretrained(pack_copy)
    assert path.read_text().count("Ask Ada before you change facts.") == 1
    assert removed.prompt not in path.read_text()


def test_a_card_that_was_not_generated_is_kept(pack_copy):
    (pack_copy / "README.md").write_text("# Facts of our team\n")
    EditPack.from_pretrained(pack_copy).save_pretrained(pack_copy)
    text = (pack_copy / "README.md").read_text()
    assert "# Facts of our team" in text
    assert EditPack.from_pretrained(pack_copy).edits[0].prompt in text


def test_markup_in_facts_stays_in_its_cell(pack_copy):
    pack = EditPack.from_pretrained(pack_copy)
    object.__setattr__(pack.shards[0].edits[0], "target", "a|b\n<script>")
    assert "a\\|b \\<script\\>" in str(model_card(pack))


def test_model_saves_its_pack_alone_or_with_the_base(pack_copy, tmp_path):
    model = SCENLlamaForCausalLM.from_pretrained(pack_copy)
    model.save_pretrained(tmp_path / "alone")
    assert not (tmp_path / "alone" / "model.safetensors").exists()
    assert len(SCENLlamaForCausalLM.from_pretrained(tmp_path / "alone").edit_packs) == 1
    model.save_pretrained(tmp_path / "whole", include_base=True)
    whole = SCENLlamaForCausalLM.from_pretrained(tmp_path / "whole")
    assert whole.config.base_model_name_or_path is None
    assert len(whole.edit_packs) == 1


def test_model_without_pack_saves_a_plain_base(pack_copy, tmp_path):
    model = SCENLlamaForCausalLM.from_pretrained(pack_copy)
    model.unload_edit_pack()
    model.save_pretrained(tmp_path / "base")
    assert SCENLlamaForCausalLM.from_pretrained(tmp_path / "base").edit_packs == {}


def test_model_does_not_overwrite_a_folder(pack_copy, tmp_path):
    model = SCENLlamaForCausalLM.from_pretrained(pack_copy)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(EditPackError, match="not a new or empty folder"):
        model.save_pretrained(tmp_path / "full")
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"
