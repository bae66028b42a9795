"""One table, so that one task can use the ORM."""

from django.db import models


class Greeting(models.Model):
    """Who was greeted, and how often."""

    name = models.TextField(unique=True)
    times = models.IntegerField(default=0)

    class Meta:
        app_label = "quickstart"

    def __str__(self) -> str:
        return f"{self.name} x {self.times}"
