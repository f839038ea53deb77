"""The state machine's vocabulary: every error a function raises, and what becomes of it.

Step Functions matches ErrorEquals against the exact class name, never a base class, so every class
that can leave a handler stands here and says where the definition must name it (`states`); a test
compares it with the definition.

`status` is what the name leads to: INVALID (mend the file or its schema), FAILED (mend the system,
then reprocess), RETRY (tried again in place) or READ_AGAIN (the ledger row moved: read ledger and
bucket again). `passes` says that the cause goes by itself, so that the sweep starts a file again
that FAILED with the error.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

from tablekeeper.model.keys import ItemKey
from tablekeeper.model.messages import with_values

VALIDATE = "Validate Records"
TRANSFORM = "Transform Records"
WRITE = "Write Items"
DELETE = "Delete Items"
SETTLE = "Settle Claim"


class TablekeeperError(Exception):
    """Base of every error that Tablekeeper raises on purpose; never raised itself.

    `values` are what its sentence is made of, as far as they are known: record (from 0), line,
    column, pointer, item (a key in DynamoDB JSON), owner (an object's URI), others (such pairs).
    """

    status: ClassVar[str] = "FAILED"
    passes: ClassVar[bool] = False
    states: ClassVar[tuple[str, ...]] = ()
    advice: ClassVar[str] = ""

    def __init__(self, text: str = "", **values: Any) -> None:
        super().__init__(text)
        self.values = values


class InvalidFileError(TablekeeperError):
    """Base of what is wrong with a file: mending the file or its schema helps, a retry does not."""

    status = "INVALID"
    states: ClassVar[tuple[str, ...]] = (VALIDATE,)

    def within(self, where: str) -> Self:
        """The error with these words of its place before its own."""
        return type(self)(f"{where}{self}", **self.values)

    def of_file(self, uri: str, hint: str = "") -> Self:
        """The error as it leaves a step: with the file, what to do, and its values."""
        sentence = f"{uri}: {self}. {self.advice}{hint}"
        return type(self)(with_values(sentence, self.values), **self.values)


class EncodingError(InvalidFileError):
    """Raised when a file is neither UTF-8 nor UTF-16 with a byte order mark, or is not the gzip,
    zstd or bzip2 that it begins as.
    """

    advice = "Save the file as UTF-8, plain or as gzip, zstd or bzip2, and upload it again."


class FileFormatError(InvalidFileError):
    """Raised when a file is of a format that Tablekeeper does not read, such as zip or Parquet."""

    advice = (
        "Convert the file as the cause says. If it is no data, name the endings of data files in "
        "`suffixes`, or ignore it with the parameter IgnorePatterns."
    )


class EmptyFileError(InvalidFileError):
    """Raised when a file holds nothing but white space; one without records holds `[]`."""

    advice = "Upload the content, `[]` for a file without records, or delete the object."


class MalformedJsonError(InvalidFileError):
    """Raised when a file is not JSON."""

    advice = "Mend the syntax at the line and column that the cause names."


class MalformedCsvError(InvalidFileError):
    """Raised when a file is not CSV as its dataset says, or its rows do not fit its header."""

    advice = (
        "Mend the line and column that the cause names, or say in the dataset's `csv` how the file "
        "is written."
    )


class NonFiniteNumberError(InvalidFileError):
    """Raised for NaN, Infinity and -Infinity, which are not JSON and which DynamoDB cannot hold."""

    advice = "Write null, or leave the field out."


class DuplicateJsonKeyError(InvalidFileError):
    """Raised when an object has the same key twice; keeping either value would drop the other
    silently.
    """

    advice = "Remove or rename one of the two keys."


class NumberRangeError(InvalidFileError):
    """Raised for a number that DynamoDB cannot hold exactly: over 38 digits, or out of 1E-130 to
    9.99E+125.
    """

    states = (VALIDATE, TRANSFORM)
    advice = "Write the number with at most 38 significant digits, or as a string."


class LoneSurrogateError(InvalidFileError):
    r"""Raised for half of a surrogate pair (such as \ud800), which is no character and has no
    UTF-8.
    """

    advice = "Write both halves of the pair, or the character itself."


class NestingError(InvalidFileError):
    """Raised when values are nested deeper than the 32 levels that DynamoDB holds."""

    states = (VALIDATE, TRANSFORM)
    advice = "Flatten the value, or pick the part that is needed with `attributes`."


class DocumentShapeError(InvalidFileError):
    """Raised when a file holds something other than records: a record is a JSON object."""

    advice = (
        "Hold one object, an array of objects, or say with `records` where the objects are. In "
        '`dynamodb-json` hold objects with an "Item", or with "Items".'
    )


class DocumentTooLargeError(InvalidFileError):
    """Raised when a file, or what its gzip holds, is larger than the stack's MaxDocumentBytes."""

    advice = "Split the file, or raise the stack's parameter MaxDocumentBytes."


class RecordTooLargeError(InvalidFileError):
    """Raised when one value of a file, a record or what stands beside the records, has more text
    than can be held at once.
    """

    advice = (
        "Split the value. If it is the whole document, hold the records in JSON Lines, in an "
        "array, or in an array that `records` names with a plain path of fields."
    )


class ArchivedObjectError(InvalidFileError):
    """Raised when the object is in an archive storage class and has to be restored before it can be
    read.
    """

    advice = "Restore the object into a storage class that can be read, or delete it."


class EncryptedObjectError(InvalidFileError):
    """Raised when the object is encrypted with a key that only its customer has (SSE-C)."""

    advice = "Upload the object again with SSE-S3 or SSE-KMS."


class NoDatasetError(InvalidFileError):
    """Raised when no dataset in schemas/ has a prefix (and suffix) that matches the key."""

    advice = (
        "Add a dataset, or the ending to the `suffixes` of one, move the object, or ignore it with "
        "the parameter IgnorePatterns."
    )


class SchemaViolationError(InvalidFileError):
    """Raised when records violate their dataset's JSON Schema. Of its values count is of all
    violations, report where all are, first those that the message names.
    """

    advice = "Mend the records at the JSON Pointers that the report names, or the schema."


class BadRecordsError(InvalidFileError):
    """Raised when a file has more bad records than its dataset's `bad_records` sets aside, or no
    good one. Within that bound it is the problem PARTIAL, and nothing is raised.
    """

    advice = (
        "Mend the records that the report names, or the schema, or raise the dataset's "
        "`bad_records`."
    )


class ReservedAttributeError(InvalidFileError):
    """Raised when a record or an item brings a name that Tablekeeper itself sets."""

    states = (VALIDATE, TRANSFORM)
    advice = (
        "Rename the field in the file, or give the attribute another name with `attributes`, which "
        "reaches every field but _source, _object, _index and, where they are used, _name and "
        "_document."
    )


class FieldNameError(InvalidFileError):
    """Raised when an attribute's name is empty, over 65,535 bytes, or begins with a byte order
    mark.
    """

    states = (TRANSFORM,)
    advice = "Rename the field, or pick the fields that are needed with `attributes`."


class ExpressionError(InvalidFileError):
    """Raised when a JMESPath expression of the dataset cannot be evaluated on this file."""

    states = (VALIDATE, TRANSFORM)
    advice = "Mend the expression in the dataset's schema, or require in the schema what it needs."


class KeyMissingError(InvalidFileError):
    """Raised when a record gives no value for an attribute of the table's primary key."""

    states = (TRANSFORM,)
    advice = "Add the field, or compute it with `key` in the dataset's schema."


class KeyTypeError(InvalidFileError):
    """Raised when a key attribute's value has another type than the table's key schema says."""

    states = (TRANSFORM,)
    advice = (
        "Write the value in the table's type, or convert it with `key` in the dataset's schema."
    )


class KeyLengthError(InvalidFileError):
    """Raised when a key attribute is empty, or longer than 2,048 bytes (partition) or 1,024 bytes
    (sort).
    """

    states = (TRANSFORM,)
    advice = "Give the record a key that is neither empty nor too long."


class DuplicateItemKeyError(InvalidFileError):
    """Raised when two records of one file have the same primary key."""

    states = (TRANSFORM,)
    advice = "Remove one of the two records, or make the key distinguish them."


class ItemTooLargeError(InvalidFileError):
    """Raised when a record makes an item over DynamoDB's 400 KB (names and lineage included)."""

    states = (TRANSFORM,)
    advice = "Split the record, or pick the part that is needed with `attributes`."


class TtlError(InvalidFileError):
    """Raised when a dataset's `ttl` gives neither whole epoch seconds nor an ISO 8601 time, or
    seconds after the year 9999, which are milliseconds.
    """

    states = (TRANSFORM,)
    advice = (
        "Make the expression give epoch seconds, an ISO 8601 time with an offset, or null. "
        "`floor(to_epoch(FIELD, 'milliseconds'))` makes seconds of milliseconds."
    )


class ItemRejectedError(InvalidFileError):
    """Raised when DynamoDB refuses an item's content that passed our own checks."""

    states = (WRITE,)
    advice = "Mend what DynamoDB names; please report it, our own check should have said so."


class KeyOwnershipError(InvalidFileError):
    """Raised when an item belongs to another file, or Tablekeeper did not write it.

    It is retried for a minute first. `sentence` is its text without its values.
    """

    states = (WRITE,)
    advice = (
        "Remove the record from one of the two files. When the owner no longer has the item, this "
        "file is tried again by itself. Remove an item that Tablekeeper did not write with the "
        "program that wrote it."
    )

    def __init__(self, item: ItemKey, owner: str | None, **others: Any) -> None:
        self.item, self.owner = item, owner
        whose = f'"{owner}"' if owner else "null: Tablekeeper did not write it"
        self.sentence = f"Item {item.shown} belongs to {whose}. {self.advice}"
        values = {"item": item.attributes, "owner": owner, **others}
        super().__init__(with_values(self.sentence, values), **values)


class StaleRevisionError(TablekeeperError):
    """Raised when the ledger row's revision moved since it was read; reading again helps."""

    status = "READ_AGAIN"
    states = (WRITE, DELETE, SETTLE)
    advice = "Nothing: the execution reads the ledger and the bucket again."


class ObjectChangedError(TablekeeperError):
    """Raised when the object that Fetch Object found is gone or another by the time it is read."""

    status = "READ_AGAIN"
    states = (VALIDATE, TRANSFORM)
    advice = "Nothing: the execution reads the ledger and the bucket again."


class DatasetChangedError(TablekeeperError):
    """Raised when a function has other schemas or settings than Fetch Object had: a deployment
    updates functions one by one. Reading again helps as soon as it is through.
    """

    status = "READ_AGAIN"
    states = (VALIDATE, TRANSFORM)
    advice = "Nothing: the execution reads again until the deployment is through."


class UnfinishedWriteError(TablekeeperError):
    """Raised when a large write stops before its function's time is up; a retry goes on from
    there.
    """

    passes = True
    status = "RETRY"
    states = (WRITE, DELETE, SETTLE)
    advice = (
        "Nothing while it is retried; if it lasts, look at the throttling of the items table, then "
        "reprocess."
    )


class StagedSetMissingError(TablekeeperError):
    """Raised when what a write needs has expired in the staging bucket."""

    passes = True
    advice = "Reprocess the file: everything is read and staged again."


class ContentionError(TablekeeperError):
    """Raised when twelve rounds of reading again did not find the ledger row standing still."""

    passes = True
    advice = "Reprocess the file; if it happens often, fewer writers should change its key at once."


class TransientServiceError(TablekeeperError):
    """Raised when an AWS service throttled or failed in a way that passes; a retry helps."""

    passes = True
    status = "RETRY"
    advice = (
        "Nothing while it is retried; if it lasts, look at the service that the cause names, then "
        "reprocess."
    )


class InvalidEventError(TablekeeperError):
    """Raised when an input names no object of the source bucket, or one with too long a key."""

    advice = (
        "Start executions with an S3 event, or with detail.bucket.name and detail.object.key; give "
        "the object a shorter key."
    )


class ListingError(TablekeeperError):
    """Raised when Step Functions listed no object for a run over the bucket, and S3 lists some."""

    advice = "Start the run with a prefix, a part of the bucket at a time, and report it."


class DatasetDefinitionError(TablekeeperError):
    """Raised when a file in schemas/ cannot be used; the deployment is bad, not the object."""

    advice = "Mend the file in schemas/, deploy, then reprocess."


class ConfigurationError(TablekeeperError):
    """Raised when a function's environment variables do not say what it needs."""

    advice = "Deploy the stack from its template."
