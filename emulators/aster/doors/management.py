"""
Signed endpoints that manage who may sign for an account (agents) and who may charge it (builders).

A builder named on an order (`builder`, `feeRate`) must be approved, up to that rate, or the order is refused with
-2031; what he would be paid is not booked.
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ..errors import Refusal
from ..holdings.register import NEVER, Agent, Builder
from ..parameters import Parameters, decimal, flag, integer, text
from .calls import Answer, Call, Endpoint

ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
SUCCESS = {"code": 200, "msg": "success"}
WALLETS_ONLY = ("v3",)


async def approve_agent(call: Call) -> Answer:
    _approve(call)
    if call.parameters.get("builder"):
        _agree(call)
    return SUCCESS


async def update_agent(call: Call) -> Answer:
    agent = _agent(call)
    named = {
        "ip_whitelist": call.parameters.get("ipWhitelist"),
        "can_spot": _given_flag(call.parameters, "canSpotTrade"),
        "can_perp": _given_flag(call.parameters, "canPerpTrade"),
        "can_withdraw": _given_flag(call.parameters, "canWithdraw"),
    }
    terms: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    call.register.approve(replace(agent, **terms))
    return SUCCESS


async def delete_agent(call: Call) -> Answer:
    call.register.dismiss(_agent(call))
    return SUCCESS


async def agents(call: Call) -> Answer:
    return [
        {
            "agentAddress": agent.address,
            "agentName": agent.name,
            "ipWhitelist": agent.ip_whitelist,
            "expired": agent.expires,
            "source": "API",
            "canRead": True,
            "canSpotTrade": agent.can_spot,
            "canPerpTrade": agent.can_perp,
            "canWithdraw": agent.can_withdraw,
        }
        for agent in call.register.agents_of(call.account.id)
    ]


async def approve_builder(call: Call) -> Answer:
    _agree(call)
    return SUCCESS


async def update_builder(call: Call) -> Answer:
    call.register.agree(replace(_builder(call), max_fee_rate=_rate(call.parameters, "maxFeeRate")))
    return SUCCESS


async def delete_builder(call: Call) -> Answer:
    call.register.part_with(_builder(call))
    return SUCCESS


async def builders(call: Call) -> Answer:
    return [
        {
            "userAddress": builder.owner,
            "builderAddress": builder.address,
            "maxFeeRate": builder.max_fee_rate,
            "builderName": builder.name,
        }
        for builder in call.register.builders_of(call.account.id)
    ]


async def noop(call: Call) -> Answer:
    """Use up a nonce. Nothing is ever queued here, so there is nothing to displace."""
    return SUCCESS


def refuse_unapproved_builder(call: Call, parameters: Parameters) -> None:
    """Refuse an order that names a builder the account has not approved, or not up to that rate."""
    address = parameters.get("builder")
    if not address:
        return
    builder = call.register.builder(call.account.id, address)
    if builder is None or Decimal(_rate(parameters, "feeRate")) > Decimal(builder.max_fee_rate):
        raise Refusal(-2031)


def _approve(call: Call) -> None:
    parameters = call.parameters
    expires = integer(parameters, "expired")
    agent = Agent(
        owner=call.account.id,
        address=_address(parameters, "agentAddress").lower(),
        name=text(parameters, "agentName"),
        ip_whitelist=parameters.get("ipWhitelist", ""),
        expires=NEVER if expires is None else expires,
        can_spot=flag(parameters, "canSpotTrade"),
        can_perp=flag(parameters, "canPerpTrade"),
        can_withdraw=flag(parameters, "canWithdraw"),
    )
    call.register.approve(agent)


def _agree(call: Call) -> None:
    builder = Builder(
        owner=call.account.id,
        address=_address(call.parameters, "builder"),
        name=call.parameters.get("builderName", ""),
        max_fee_rate=_rate(call.parameters, "maxFeeRate"),
    )
    call.register.agree(builder)


def _agent(call: Call) -> Agent:
    agent = call.register.agent(_address(call.parameters, "agentAddress").lower(), call.account.id)
    if agent is None:
        raise Refusal(-1000, text="No agent found")
    return agent


def _builder(call: Call) -> Builder:
    builder = call.register.builder(call.account.id, _address(call.parameters, "builder"))
    if builder is None:
        raise Refusal(-2031)
    return builder


def _address(parameters: Parameters, name: str) -> str:
    address = text(parameters, name)
    if not ADDRESS.fullmatch(address):
        raise Refusal(-1102, name)
    return address


def _rate(parameters: Parameters, name: str) -> str:
    """Return a fee rate as it was written."""
    text(parameters, name)
    rate = decimal(parameters, name)
    if rate is None or not 0 <= rate < 1:
        raise Refusal(-2031)
    return f"{rate:f}"


def _given_flag(parameters: Parameters, name: str) -> bool | None:
    return flag(parameters, name) if parameters.get(name) else None


ENDPOINTS = (
    Endpoint("POST", "approveAgent", approve_agent, WALLETS_ONLY, signed=True, message="ApproveAgent"),
    Endpoint("POST", "updateAgent", update_agent, WALLETS_ONLY, signed=True, message="UpdateAgent"),
    Endpoint("DELETE", "agent", delete_agent, WALLETS_ONLY, signed=True, message="DelAgent"),
    Endpoint("GET", "agent", agents, WALLETS_ONLY, signed=True),
    Endpoint("POST", "approveBuilder", approve_builder, WALLETS_ONLY, signed=True, message="ApproveBuilder"),
    Endpoint("POST", "updateBuilder", update_builder, WALLETS_ONLY, signed=True, message="UpdateBuilder"),
    Endpoint("DELETE", "builder", delete_builder, WALLETS_ONLY, signed=True, message="DelBuilder"),
    Endpoint("GET", "builder", builders, WALLETS_ONLY, signed=True),
    Endpoint(
        "POST", "registerAndApproveAgent", approve_agent, WALLETS_ONLY, weight=50, signed=True, opens_account=True
    ),
    Endpoint("POST", "noop", noop, WALLETS_ONLY, signed=True),
)
