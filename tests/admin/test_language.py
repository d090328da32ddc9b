"""Each visitor reads the console in their own language, whoever came before them."""

from __future__ import annotations

from wsgi import create_app


def test_the_first_visitors_language_does_not_stay_for_the_next(core):
    app = create_app(core=core)
    app.testing = True
    chinese, english = app.test_client(), app.test_client()
    first = chinese.get("/admin/login/").text
    assert "欢迎回来" in first
    with english.session_transaction("/admin/") as session:
        session["language"] = "en"
    second = english.get("/admin/login/").text
    assert "Welcome back" in second
    assert "欢迎回来" not in second
    assert "欢迎回来" in chinese.get("/admin/login/").text
