from medsegany.testing import FakeSegmenter, SegmenterContract


class TestContract(SegmenterContract):
    def make_segmenter(self):
        return FakeSegmenter()
