"""The edge.toml of a box whose results go to two real archives."""

TWO_ARCHIVES = """
[box]
root = "root"
[receive]
port = 0
[[receive.peers]]
alias = "test"
ae_title = "TEST"
hosts = ["127.0.0.1"]
[storage]
reserve_gib = 0.1
refuse_at_percent = 100
[[routes]]
name = "chest"
package = "cxr-pneumonia"
when = {{ Modality = ["CR", "DX"] }}
deliver = ["dcmtk", "orthanc"]
send = ["succeeded", "partial", "failed", "not-attempted"]
max_study_age_days = 36500
[destinations.dcmtk]
kind = "deidentified"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {storescp}
[destinations.orthanc]
kind = "deidentified"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {orthanc}
"""
