"""transship diff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from transship import hookimpl
from transship.cli.flags import Flag, GoCommand, UsageError
from transship.cli.options import check_credentials, image_options, retry_options, shared_options, with_options
from transship.cli.pictures.output import check_picture, picture_options, problems_of, show

if TYPE_CHECKING:
    from transship.cli.application import Application

EXIT_DIFFERENT = 3
_PREFIXES = ("src_", "dest_")


@click.command("diff", cls=GoCommand, options_metavar="[options]")
@click.argument("arguments", nargs=-1, metavar="FIRST SECOND")
@with_options(
    [Flag("--exit-code", help=f"end with {EXIT_DIFFERENT} if the images differ")],
    picture_options(),
    shared_options(),
    image_options("src-", "first image"),
    image_options("dest-", "second image"),
    retry_options(),
)
@click.pass_obj
def diff(app: Application, /, arguments: tuple[str, ...], **flags: Any) -> None:
    """Show how two images differ: layers, sizes, configs

    Manifests and configs are read, no layer is. Members of two indexes are compared by platform.
    """
    if len(arguments) != 2:
        raise UsageError("Exactly two arguments expected", show_help=True)
    platforms = check_picture(flags)
    for prefix in _PREFIXES:
        check_credentials(flags, prefix)
    from transship.api import Retries
    from transship.api import diff as find_difference

    contexts = [app.context(image, "source", flags, prefix) for image, prefix in zip(arguments, _PREFIXES, strict=True)]
    difference = find_difference(
        *arguments,
        platforms=platforms,
        limit=flags["limit"],
        first_context=contexts[0],
        second_context=contexts[1],
        retries=Retries(flags["retry_times"], flags["retry_delay"]),
        manager=app.manager,
    )

    def page() -> str:
        from transship.cli.pictures.diff_page import diff_page

        return diff_page(*arguments, difference)

    def document() -> dict[str, Any]:
        from transship.cli.pictures.documents import difference_document

        return {"images": list(arguments), **difference_document(difference)}

    def twigs() -> Any:
        from transship.cli.pictures.diff_lines import diff_twigs

        return diff_twigs(*arguments, difference)

    show(flags, document=document, page=page, twigs=twigs)
    if problems := problems_of(difference.first) + problems_of(difference.second):
        from transship.cli.pictures.wording import counted

        app.log.warning(f"{counted(problems, 'part')} could not be read, see what is shown")
    if flags["exit_code"] and not difference.is_equal:
        raise click.exceptions.Exit(EXIT_DIFFERENT)


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [diff]
