from musedance import MuseDancePipeline

__all__ = ["MuseDancePipeline"]
