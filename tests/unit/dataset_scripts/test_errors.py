from unified_audiocaps.dataset_scripts.errors import InputError, Problem, RecordError, UnknownNameError, shorten


def test_unknown_name_proposes_what_is_close_and_how_to_list():
    error = UnknownNameError("metric", "cider", ["cider_d", "date"], "uac metrics")
    assert str(error) == "no metric is called 'cider'. Did you mean cider_d? Known: cider_d, date. `uac metrics` lists them."
    assert isinstance(error, LookupError)


def test_record_error_says_where_what_came_and_what_was_expected():
    error = RecordError("clotho", "x.csv", line=7, field="caption_1", value="y" * 200, expected="expected text.")
    assert str(error).startswith("clotho: x.csv, line 7: field 'caption_1' is 'yyy")
    assert str(error).endswith("expected text.") and len(str(error)) < 160


def test_input_error_shows_twenty_problems_and_counts_the_rest():
    error = InputError("p.csv is bad.", [Problem("E_TYPE", "no text", line=i) for i in range(1, 31)], total=100)
    lines = str(error).splitlines()
    assert (len(lines), lines[1], lines[-1]) == (22, "  line 1: E_TYPE: no text", "  … and 80 more")


def test_shorten_keeps_short_values():
    assert shorten("abc") == "'abc'" and len(shorten("x" * 500)) == 80
