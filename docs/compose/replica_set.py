"""Makes one replica set of MongoDB members, and the user of the FHIR servers. May run again at any time.

    replica_set.py NAME HOST:PORT…

The first host has the administrator ``root`` already. Passwords: MONGO_ROOT_PASSWORD, MONGO_PASSWORD.
"""

from __future__ import annotations

import os
import sys
from typing import Any
from urllib.parse import quote_plus

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError, ServerSelectionTimeoutError

USER = DATABASE = "fhir"
ROLES = ["readWrite", "dbAdmin"]
NOT_YET = 94
"""MongoDB's error NotYetInitialized."""


def connect(hosts: list[str], seconds: int, **options: Any) -> MongoClient[dict[str, Any]]:
    """A client that logs in as root."""
    password = quote_plus(os.environ["MONGO_ROOT_PASSWORD"])
    address = f"mongodb://root:{password}@{','.join(hosts)}/admin"
    return MongoClient(address, serverSelectionTimeoutMS=seconds * 1000, **options)


def initiate(name: str, hosts: list[str]) -> bool:
    """Make the set, unless the first host is in one already: whether it was made."""
    with connect(hosts[:1], 30, directConnection=True) as client:
        try:
            client.admin.command("replSetGetStatus")
        except OperationFailure as error:
            if error.code != NOT_YET:
                raise
            members = [{"_id": number, "host": host} for number, host in enumerate(hosts)]
            client.admin.command("replSetInitiate", {"_id": name, "members": members})
            return True
        return False


def keep_user(name: str, hosts: list[str], seconds: int) -> None:
    """Make the user, or give him the password of now. Waits for a primary."""
    with connect(hosts, seconds, replicaSet=name) as client:
        database = client[DATABASE]
        there = database.command("usersInfo", USER)["users"]
        concern = {"w": "majority", "wtimeout": 60_000}
        command = "updateUser" if there else "createUser"
        password = os.environ["MONGO_PASSWORD"]
        database.command({command: USER, "pwd": password, "roles": ROLES, "writeConcern": concern})


def main(name: str, hosts: list[str]) -> None:
    """Do what is missing. A set that has a primary is asked first: the first host need not be there."""
    try:
        keep_user(name, hosts, 5)
    except ServerSelectionTimeoutError:
        print("the replica set was made" if initiate(name, hosts) else "waiting for a primary", flush=True)
        keep_user(name, hosts, 60)
    print("the replica set and its user are there", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except PyMongoError as error:
        sys.exit(f"the replica set cannot be made: {error}")
