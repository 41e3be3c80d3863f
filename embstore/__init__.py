"""embstore: a labelled text dataset and a frozen transformer, made into a store.

>>> import embstore
>>> report = embstore.build_store()  # the sample dataset, the default encoder
>>> store = embstore.Store.open("sample")
>>> store.neighbors("the train was late again", k=3)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embstore.data import ReadOptions, TextDataset, open_dataset
    from embstore.encode import EncoderOptions, TorchEncoder, load_encoder
    from embstore.errors import (
        DiskFailure,
        EmbstoreError,
        EncoderMismatch,
        HubUnreachable,
        Interrupted,
        InvalidData,
        InvalidInput,
        InvalidModel,
        NotFound,
        NotReady,
        StoreDamaged,
        StoreLocked,
    )
    from embstore.flows.audit import Audit, AuditOptions, audit_store
    from embstore.flows.build import BuildReport, build_store
    from embstore.flows.classifier import Classification, Classifier
    from embstore.flows.classify import classify_dataset, classify_texts
    from embstore.flows.compare import CompareOptions, Comparison, compare_methods
    from embstore.flows.doctor import Examination, PathReport, examine_encoder
    from embstore.flows.export import ExportOptions, ExportReport, export_store
    from embstore.flows.finetune import FinetuneReport, finetune_model
    from embstore.flows.fit import FitReport, fit_head
    from embstore.flows.heads import HeadOptions
    from embstore.flows.inspect import StoreInfo, StoreSummary, describe_store, list_stores
    from embstore.flows.neighbors import Neighborhood, find_neighbors, find_neighbors_of_record
    from embstore.flows.projection import Projection, project_store
    from embstore.flows.projection_outputs import ProjectionOutputs
    from embstore.flows.relabel import RelabelReport, relabel_store, undo_relabelling
    from embstore.flows.tables import check_output, write_rows
    from embstore.learn.classifier_model import FinetunedClassifier
    from embstore.learn.epochs import EpochScore
    from embstore.learn.finetuning import FinetuneOptions
    from embstore.learn.knn import KNNHead
    from embstore.learn.logistic import LogisticHead
    from embstore.learn.verdict import Verdict
    from embstore.maps.audit_report import write_audit
    from embstore.maps.layout import ProjectionOptions
    from embstore.maps.pictures import LabelledPoints, density_picture, scatter_picture
    from embstore.maps.report import write_report
    from embstore.outputs import check_folder
    from embstore.records import Encoded, Neighbor, Prediction, Progress, Record, Rejected, TextEncoder
    from embstore.service.options import ServeOptions
    from embstore.service.server import serve
    from embstore.store import Split, Store, Verification, delete_store, find_store, verify_store
    from embstore.store.certificate import Recall
    from embstore.store.index_options import IndexOptions, parse_bytes

__version__ = "0.1.0"

# Public names by the module that has them. Each is imported at first use, so that `import embstore` costs
# nothing and a task pays for its own libraries alone.
_HOMES = {
    "embstore.data": ("ReadOptions", "TextDataset", "open_dataset"),
    "embstore.encode": ("EncoderOptions", "TorchEncoder", "load_encoder"),
    "embstore.errors": (
        "DiskFailure",
        "EmbstoreError",
        "EncoderMismatch",
        "HubUnreachable",
        "Interrupted",
        "InvalidData",
        "InvalidInput",
        "InvalidModel",
        "NotFound",
        "NotReady",
        "StoreDamaged",
        "StoreLocked",
    ),
    "embstore.flows.audit": ("Audit", "AuditOptions", "audit_store"),
    "embstore.flows.build": ("BuildReport", "build_store"),
    "embstore.flows.classifier": ("Classification", "Classifier"),
    "embstore.flows.classify": ("classify_dataset", "classify_texts"),
    "embstore.flows.compare": ("CompareOptions", "Comparison", "compare_methods"),
    "embstore.flows.doctor": ("Examination", "PathReport", "examine_encoder"),
    "embstore.flows.export": ("ExportOptions", "ExportReport", "export_store"),
    "embstore.flows.finetune": ("FinetuneReport", "finetune_model"),
    "embstore.flows.fit": ("FitReport", "fit_head"),
    "embstore.flows.heads": ("HeadOptions",),
    "embstore.flows.inspect": ("StoreInfo", "StoreSummary", "describe_store", "list_stores"),
    "embstore.flows.neighbors": ("Neighborhood", "find_neighbors", "find_neighbors_of_record"),
    "embstore.flows.opening": ("Store",),
    "embstore.flows.projection": ("Projection", "project_store"),
    "embstore.flows.projection_outputs": ("ProjectionOutputs",),
    "embstore.flows.relabel": ("RelabelReport", "relabel_store", "undo_relabelling"),
    "embstore.flows.tables": ("check_output", "write_rows"),
    "embstore.learn.classifier_model": ("FinetunedClassifier",),
    "embstore.learn.epochs": ("EpochScore",),
    "embstore.learn.finetuning": ("FinetuneOptions",),
    "embstore.learn.knn": ("KNNHead",),
    "embstore.learn.logistic": ("LogisticHead",),
    "embstore.learn.verdict": ("Verdict",),
    "embstore.maps.audit_report": ("write_audit",),
    "embstore.maps.layout": ("ProjectionOptions",),
    "embstore.maps.pictures": ("LabelledPoints", "density_picture", "scatter_picture"),
    "embstore.maps.report": ("write_report",),
    "embstore.outputs": ("check_folder",),
    "embstore.records": (
        "Encoded",
        "Neighbor",
        "Prediction",
        "Progress",
        "Record",
        "Rejected",
        "TextEncoder",
    ),
    "embstore.service.options": ("ServeOptions",),
    "embstore.service.server": ("serve",),
    "embstore.store.certificate": ("Recall",),
    "embstore.store.index_options": ("IndexOptions", "parse_bytes"),
    "embstore.store": ("Split", "Verification", "delete_store", "find_store", "verify_store"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Audit",
    "AuditOptions",
    "BuildReport",
    "Classification",
    "Classifier",
    "CompareOptions",
    "Comparison",
    "DiskFailure",
    "EmbstoreError",
    "Encoded",
    "EncoderMismatch",
    "EncoderOptions",
    "EpochScore",
    "Examination",
    "ExportOptions",
    "ExportReport",
    "FinetuneOptions",
    "FinetuneReport",
    "FinetunedClassifier",
    "FitReport",
    "HeadOptions",
    "HubUnreachable",
    "IndexOptions",
    "Interrupted",
    "InvalidData",
    "InvalidInput",
    "InvalidModel",
    "KNNHead",
    "LabelledPoints",
    "LogisticHead",
    "Neighbor",
    "Neighborhood",
    "NotFound",
    "NotReady",
    "PathReport",
    "Prediction",
    "Progress",
    "Projection",
    "ProjectionOptions",
    "ProjectionOutputs",
    "ReadOptions",
    "Recall",
    "Record",
    "Rejected",
    "RelabelReport",
    "ServeOptions",
    "Split",
    "Store",
    "StoreDamaged",
    "StoreInfo",
    "StoreLocked",
    "StoreSummary",
    "TextDataset",
    "TextEncoder",
    "TorchEncoder",
    "Verdict",
    "Verification",
    "audit_store",
    "build_store",
    "check_folder",
    "check_output",
    "classify_dataset",
    "classify_texts",
    "compare_methods",
    "delete_store",
    "density_picture",
    "describe_store",
    "examine_encoder",
    "export_store",
    "find_neighbors",
    "find_neighbors_of_record",
    "find_store",
    "finetune_model",
    "fit_head",
    "list_stores",
    "load_encoder",
    "open_dataset",
    "parse_bytes",
    "project_store",
    "relabel_store",
    "scatter_picture",
    "serve",
    "undo_relabelling",
    "verify_store",
    "write_audit",
    "write_report",
    "write_rows",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'embstore' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
