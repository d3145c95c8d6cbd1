"""Routes that plan faults, on a server that was started for it."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import HubError, bad_request
from ..faults import FAULTS_PATH, Fault, FaultPlan
from ..permissions import check_write_token
from .bodies import JsonDep
from .context import HubDep, UserDep, reply


router = APIRouter(prefix=FAULTS_PATH)


class _FaultBody(BaseModel):
    """A fault as it is planned over HTTP: the fields of `Fault`, within limits."""

    model_config = ConfigDict(extra="forbid")

    method: str = "*"
    path: str = "*"
    times: int = Field(1, ge=1)
    status: Annotated[HTTPStatus, Field(ge=400)] | None = None
    retry_after: int | None = Field(None, ge=0)
    drop_after: int | None = Field(None, ge=0)
    delay_s: float = Field(0.0, ge=0, le=600)


def _plan(hub: HubDep, user: UserDep) -> FaultPlan:
    check_write_token(user)
    if hub.faults is None:
        raise HubError(404, "This local Hub was started without faults")
    return hub.faults


PlanDep = Annotated[FaultPlan, Depends(_plan)]


@router.post("")
def add_fault(body: JsonDep, plan: PlanDep) -> JSONResponse:
    """Plans a fault."""
    try:
        fields = _FaultBody.model_validate(body).model_dump()
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise bad_request(f"Invalid fault: {problems}") from error
    return reply(asdict(plan.add(Fault(**fields))))


@router.get("")
def list_faults(plan: PlanDep) -> JSONResponse:
    """Lists the faults, and how often each one happened."""
    return reply([asdict(fault) for fault in plan.faults()])


@router.delete("")
def clear_faults(plan: PlanDep) -> JSONResponse:
    """Forgets all faults."""
    plan.clear()
    return reply({})
