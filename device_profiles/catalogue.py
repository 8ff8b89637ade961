"""All profiles: those we ship, and a site's own. A broken profile is told and left out; it never hides another."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from device_profiles.findings import Finding
from device_profiles.model import DeviceClass, DeviceProfile
from device_profiles.reading import read_profile

SHIPPED: Final = Path(__file__).parent


@dataclass(slots=True)
class Catalogue:
    """profiles and files by name; findings by file, for those that could not be used. overridden: a site's profile of
    the same name took the place of these. unread: names of files that nobody wanted to be read.
    """

    profiles: dict[str, DeviceProfile] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    findings: dict[Path, list[Finding]] = field(default_factory=dict)
    overridden: list[Path] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)

    @property
    def names(self) -> list[str]:
        """Every profile there is a file for, usable or not, sorted."""
        return sorted({*self.profiles, *self.unread, *(path.stem for path in self.findings)})


def profile_files(folder: Path) -> list[Path]:
    """The profile files of a folder: `<device_class>/<name>.yaml`."""
    return sorted(path for name in DeviceClass for path in (folder / name).glob("*.yaml"))


def load_catalogue(extra: Iterable[Path] = (), *, only: Container[str] | None = None) -> Catalogue:
    """Load the shipped profiles, then each extra folder in order; a later one of the same name wins.

    only: the names of those that are needed, which are those of their files: a box has few kinds of devices.
    """
    catalogue = Catalogue()
    for folder in (SHIPPED, *extra):
        for path in profile_files(folder):
            if only is None or path.stem in only:
                _add(catalogue, path)
            else:
                catalogue.unread.add(path.stem)
    return catalogue


def _add(catalogue: Catalogue, path: Path) -> None:
    profile, findings = read_profile(path)
    if profile is None:
        catalogue.findings[path] = findings
        return
    if profile.name in catalogue.files:
        catalogue.overridden.append(catalogue.files[profile.name])
    catalogue.profiles[profile.name] = profile
    catalogue.files[profile.name] = path
