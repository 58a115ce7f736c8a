"""Names in a folder of results: tables know models, protocols and cases by nothing else."""

from collections.abc import Iterable, Sequence
from warnings import warn

from attrs import evolve

from medsegany.benchmark._manifest import Case, Manifest
from medsegany.benchmark._model import Identity, Model
from medsegany.benchmark._protocol import Protocol
from medsegany.benchmark._results import Measurement
from medsegany.errors import InvalidInput
from medsegany.protocols import Segmenter

_WAY_OUT = "give this one a name of its own, or take another folder of results"


class Names:
    """What the names in some rows stand for.

    Args:
        rows: Of a folder of results.
    """

    def __init__(self, rows: Iterable[Measurement]) -> None:
        self._models: dict[str, tuple[str, str, str]] = {}  # name -> key, words, version
        self._protocols: dict[str, str] = {}
        self._cases: dict[str, str] = {}
        self._whose: dict[str, tuple[str, str]] = {}
        for row in rows:
            self._models.setdefault(row.model, (row.model_key, row.model_json, row.version))
            self._protocols.setdefault(row.protocol, row.protocol_key)
            self._cases.setdefault(row.case, row.case_key)
            self._whose.setdefault(row.case_key, (row.patient, row.modality))

    def check(
        self, manifest: Manifest, protocols: Sequence[Protocol], models: Sequence[Model | Segmenter]
    ) -> None:
        """Refuse names that would stand for two things, as far as is known before models load.

        A protocol of two names would be measured once, and each name have a part of the results.

        Raises:
            InvalidInput: With the name.
        """
        for case in manifest:
            if self._cases.get(case.id, case.key) != case.key:
                msg = (
                    f"There are results of another case {case.id!r}: its file, its labels or its "
                    "spacing were others. Take another folder of results."
                )
                raise InvalidInput(msg)
        self._check_protocols(protocols)
        asked: dict[str, Model] = {}
        for model in models:
            if isinstance(model, Model):
                name = model.name or model.load
                if asked.setdefault(name, model) != model:
                    msg = f"Two models are called {name!r}, and are loaded otherwise: {_WAY_OUT}."
                    raise InvalidInput(msg)
        moved = [c.id for c in manifest if self._whose.get(c.key, _of(c)) != _of(c)]
        if moved:
            warn(
                f"{len(moved)} cases, such as {moved[0]!r}, have another patient or modality in "
                "the manifest than in the results. What was measured stays as it is: give the "
                "manifest to `report` and `compare`, which then go by it.",
                stacklevel=3,
            )

    def _check_protocols(self, protocols: Sequence[Protocol]) -> None:
        known = dict(self._protocols)
        for protocol in protocols:
            if known.setdefault(protocol.name, protocol.key) != protocol.key:
                msg = f"Two protocols are called {protocol.name!r}, and differ: {_WAY_OUT}."
                raise InvalidInput(msg)
            for name, key in known.items():
                if key == protocol.key and name != protocol.name:
                    msg = (
                        f"The protocol {protocol.name!r} is that of {name!r}: go on under that "
                        "name."
                    )
                    raise InvalidInput(msg)

    def add(self, who: Identity) -> None:
        """Note a model, now that it is loaded.

        Raises:
            InvalidInput: There are results of another model of this name, or of this model under
                another name.
        """
        key, words, version = self._models.setdefault(who.name, (who.key, who.words, ""))
        if key != who.key:
            how = f"loaded by {words}" if words != who.words else "of other weights or code"
            of = f" (medsegany {version})" if version else ""
            msg = f"There are results of another {who.name!r}, {how}{of}: {_WAY_OUT}."
            raise InvalidInput(msg)
        for name, (other, _, _) in self._models.items():
            if other == who.key and name != who.name:
                msg = f"{who.name!r} is measured already, as {name!r}: go on under that name."
                raise InvalidInput(msg)


def _of(case: Case) -> tuple[str, str]:
    return case.patient, case.modality


def corrected(rows: Iterable[Measurement], manifest: Manifest) -> list[Measurement]:
    """Rows with the patients, modalities and names of objects that a manifest has now.

    None of these is part of what a result depends on, so that a correction costs no new run.

    Args:
        rows: Of any cases.
        manifest: Those that it does not know are left as they are.
    """
    known = {case.key: case for case in manifest}
    found = []
    for row in rows:
        case = known.get(row.case_key)
        if case is not None:
            now = (case.patient, case.modality, case.labels.get(row.label, row.name))
            if (row.patient, row.modality, row.name) != now:
                patient, modality, name = now
                row = evolve(row, patient=patient, modality=modality, name=name)  # noqa: PLW2901
        found.append(row)
    return found


def refuse_mixtures(line: str, rows: Iterable[Measurement]) -> None:
    """A mean over two models, two protocols or two versions of a case would be of nothing.

    Raises:
        InvalidInput: The rows of one line of a table are of more than one.
    """
    models: dict[str, str] = {}
    protocols: set[str] = set()
    cases: dict[str, str] = {}
    for row in rows:
        models[row.model_key] = row.model_json
        protocols.add(row.protocol_key)
        if cases.setdefault(row.case, row.case_key) != row.case_key:
            msg = f"{line}: there are results of two cases that are called {row.case!r}."
            raise InvalidInput(msg)
    if len(models) > 1 or len(protocols) > 1:
        what = "models" if len(models) > 1 else "protocols"
        told = f": {' and '.join(sorted(set(models.values())))}" if len(models) > 1 else ""
        msg = f"{line}: results of {what} that have one name and differ{told}. Measure them apart."
        raise InvalidInput(msg)
