"""What the tests of objects share: the tools, the objects of a case, and the way that the relink gateway files them."""

from __future__ import annotations

import dataclasses
import subprocess
from datetime import datetime
from io import BytesIO

import pydicom
import support
from golden.object_cases import BOX, FORMS, IMAGE_SHOWN, pointed, segmented

from edge.part10 import split
from edge.relink import elements as relinked
from edge.relink.merge import merge
from edge.relink.subject import Subject
from edge.report.encode import part10
from edge.report.objects import build

SUBJECT = Subject(
    {
        element.tag: element
        for element in (
            relinked.element(0x00100010, "PN", b"INVENTED^ONE"),
            relinked.element(0x00100020, "LO", b"INVENTED1"),
            relinked.element(0x00080020, "DA", b"20210304"),
        )
    }
)


def filed(state):
    """A presentation state as the relink gateway files it: dcmtk takes none that is nobody's."""
    parts = split(state)
    syntax = relinked.EXPLICIT_VR_LITTLE_ENDIAN
    merged = merge(relinked.read(parts.data_set, syntax), SUBJECT, datetime(2021, 3, 4, 10, 15))
    return part10(parts.sop_class_uid, parts.sop_instance_uid, relinked.write(merged, syntax))


def tool(name, *arguments):
    command = [support.tool(name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def objects(case, form="3d"):
    return build(case, box=BOX, form=FORMS[form])


def mixed():
    """Masks on slices, regions on an image."""
    case = segmented()
    return dataclasses.replace(case, sources=(IMAGE_SHOWN, *case.sources), findings=pointed().findings)


def of_kind(case, kind):
    return [pydicom.dcmread(BytesIO(each.blob)) for each in objects(case) if each.kind is kind]
