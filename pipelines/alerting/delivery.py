"""Sending an alert: by a command, a webhook, mail. Each in a time that is bounded, and none in the way of another.

Belongs here: the channels, and what their failure is called. Does not belong here: what is sent
(``pipelines.alerting.composing``). A failure is told by its kind: addresses, passwords and what a server answers stay
out of it.
"""

import json
import os
import signal
import smtplib
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from pipelines.alerting.composing import Message
from warehouse.settings import THIS_MACHINE, AlertSettings, MailSettings

SECONDS = 10.0  # for one channel, whatever the other side does
PASSWORD = "HIPTRIAGE_SMTP_PASSWORD"  # noqa: S105 - the name of the variable


class NotDelivered(Exception):
    """An alert did not get out; the message is one clause."""


def deliver(
    messages: Mapping[str, Message], settings: AlertSettings, *, seconds: float = SECONDS
) -> dict[str, str | None]:
    """Send each channel its message, all at the same time; by channel why it failed, or None.

    ``messages``: by channel, of ``settings.channels``. A channel that takes longer than ``seconds`` has failed, though
    its message may still arrive: an alert may come twice, and is not lost.
    """
    senders: dict[str, Callable[[Message], None]] = {
        "command": lambda message: _command(settings.command, message, seconds),
        "webhook": lambda message: _webhook(settings.webhook, message, seconds),
    }
    if mail := settings.mail:
        senders["mail"] = lambda message: _mail(mail, message, seconds)
    ended: dict[str, str | None] = {}

    def send(channel: str, message: Message) -> None:
        try:
            senders[channel](message)
            ended[channel] = None
        except NotDelivered as failed:
            ended[channel] = str(failed)
        except Exception as failed:  # a channel's defect is that channel's failure
            ended[channel] = f"it failed ({type(failed).__name__})"

    # Daemons, because a server that sends one byte now and then keeps each single read in time.
    threads = [threading.Thread(target=send, args=item, daemon=True) for item in messages.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 1)
    late = f"it took longer than {seconds:g} seconds"
    return {channel: dict(ended).get(channel, late) for channel in messages}


def _command(words: Iterable[str], message: Message, seconds: float) -> None:
    """Run a program with the text on its input; no shell, none of our passwords, and nothing of what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != PASSWORD}
    try:
        process = subprocess.Popen(  # noqa: S603 - the words are the installation's own settings
            [*words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise NotDelivered(f"the command cannot be started ({type(error).__name__})") from None
    with process:
        try:
            process.communicate(message.text.encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with whatever it started itself
            raise NotDelivered(f"the command took longer than {seconds:g} seconds and was ended") from None
    if process.returncode:
        raise NotDelivered(f"the command ended with {process.returncode}")


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        """None follows: a redirected POST would become a GET that says all is well."""


def _webhook(address: str, message: Message, seconds: float) -> None:
    """POST the message as JSON; any answer of 200 to 299 is a receipt."""
    request = Request(  # noqa: S310 - the settings allow https, and http on this machine
        address,
        data=json.dumps(message.body).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "hiptriage"},
        method="POST",
    )
    handlers = [_NoRedirect()]
    if urlsplit(address).hostname in THIS_MACHINE:
        handlers.append(ProxyHandler({}))
    try:
        with build_opener(*handlers).open(request, timeout=seconds):
            return
    except HTTPError as error:
        error.close()
        failed = f"the webhook answered {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        failed = f"the webhook cannot be reached ({type(reason).__name__})"
    raise NotDelivered(failed)


def _mail(settings: MailSettings, message: Message, seconds: float) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = message.subject, settings.sender, ", ".join(settings.to)
    mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="hiptriage.invalid")
    mail.set_content(message.text)
    try:
        with smtplib.SMTP(settings.host, settings.port, timeout=seconds) as server:
            if settings.starttls:
                server.starttls(context=ssl.create_default_context())
            if settings.user:
                server.login(settings.user, os.environ.get(PASSWORD, ""))
            refused = server.send_message(mail)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise NotDelivered(f"the mail server did not take it ({type(error).__name__})") from None
    if refused:
        raise NotDelivered(f"the mail server refused {len(refused)} of {len(settings.to)} recipients")
