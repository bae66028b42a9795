"""placeholder"""


class ReproqBackend: ...
