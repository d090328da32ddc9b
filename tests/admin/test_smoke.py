from __future__ import annotations


def test_a_member_of_staff_signs_in_and_sees_the_workbench(signed_in_as):
    client = signed_in_as("operations")
    answer = client.get("/admin/")
    assert answer.status_code == 200
    assert "林晓雯" in answer.get_data(as_text=True)
