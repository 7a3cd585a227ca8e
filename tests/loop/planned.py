"""The steps of a configuration with the files it names as they are now."""

from loop.config.fingerprints import fingerprints
from loop.config.schema import Config
from loop.engine.step import Step
from loop.plan import plan


def planned(config: Config) -> list[Step]:
    return plan(config, fingerprints(config))
