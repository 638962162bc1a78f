"""transship tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from transship import hookimpl
from transship.cli.flags import Flag, GoCommand, UsageError
from transship.cli.options import check_credentials, image_options, retry_options, shared_options, with_options
from transship.cli.pictures.output import check_picture, picture_options, problems_of, show

if TYPE_CHECKING:
    from transship.cli.application import Application


@click.command("tree", cls=GoCommand, options_metavar="[options]")
@click.argument("arguments", nargs=-1, metavar="IMAGE")
@with_options(
    [Flag("--no-referrers", help="do not ask for signatures and what else refers to the image")],
    picture_options(),
    shared_options(),
    image_options(),
    retry_options(),
)
@click.pass_obj
def tree(app: Application, /, arguments: tuple[str, ...], **flags: Any) -> None:
    """Show what an image is made of: platforms, layers, sizes, signatures

    Manifests and configs are read, no layer is. Nothing is verified: "verify" does that.
    """
    if len(arguments) != 1:
        raise UsageError("Exactly one argument expected", show_help=True)
    platforms = check_picture(flags)
    check_credentials(flags)
    from transship.api import Retries
    from transship.api import tree as read_tree

    (image,) = arguments
    part = read_tree(
        image,
        platforms=platforms,
        referrers=not flags["no_referrers"],
        limit=flags["limit"],
        context=app.context(image, "source", flags),
        retries=Retries(flags["retry_times"], flags["retry_delay"]),
        manager=app.manager,
    )

    def page() -> str:
        from transship.cli.pictures.tree_page import tree_page

        return tree_page(image, part)

    def document() -> dict[str, Any]:
        from transship.cli.pictures.documents import part_document

        return {"image": image, **part_document(part)}

    def twigs() -> list[Any]:
        from transship.cli.pictures.tree_lines import tree_twig

        return [tree_twig(image, part)]

    show(flags, document=document, page=page, twigs=twigs)
    if problems := problems_of(part):
        from transship.cli.pictures.wording import counted

        app.log.warning(f"{counted(problems, 'part')} of {image} could not be read, see what is shown")


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [tree]
