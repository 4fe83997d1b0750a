package weir

import org.apache.spark.sql.Encoders
import org.apache.spark.sql.streaming._

/** Passes on what is not older than what has passed of its key. With a clock a deletion is forgotten in time. */
class Upsert(clocked: Boolean) extends StatefulProcessor[Key, Event, Said] {
  @transient private var latest: ValueState[Version] = _

  override def init(output: OutputMode, time: TimeMode): Unit =
    latest = getHandle.getValueState("latest", Encoders.product[Version], TTLConfig.NONE)

  override def handleInputRows(key: Key, rows: Iterator[Event], timers: TimerValues): Iterator[Said] = {
    val before = Option(latest.get())
    var now = before
    val passed = rows.toSeq.sortBy(_.o).filter { event =>
      val newer = now.forall(_.us <= event.us)
      if (newer) now = Some(Version(event.us, None, event.gone))
      newer
    }
    if (passed.nonEmpty) {
      if (clocked) {
        before.filter(_.gone).foreach(version => getHandle.deleteTimer(Due.after(version.us)))
        now.filter(_.gone).foreach(version => getHandle.registerTimer(Due.after(version.us)))
      }
      latest.update(now.get)
    }
    passed.iterator.map(event => Said(event.k, event.i, event.v, event.us))
  }

  override def handleExpiredTimer(key: Key, timers: TimerValues, expired: ExpiredTimerInfo): Iterator[Said] = {
    latest.clear()
    Iterator.empty
  }
}

/** Says that a key has been silent, once, and forgets it. */
class Absence(afterUs: Long) extends StatefulProcessor[Key, Event, Said] {
  @transient private var latest: ValueState[Said] = _

  override def init(output: OutputMode, time: TimeMode): Unit =
    latest = getHandle.getValueState("latest", Encoders.product[Said], TTLConfig.NONE)

  override def handleInputRows(key: Key, rows: Iterator[Event], timers: TimerValues): Iterator[Said] = {
    val before = Option(latest.get())
    // Of those at one time the last to arrive.
    val last = rows.toSeq.sortBy(_.o).reduce((one, other) => if (other.us >= one.us) other else one)
    if (before.forall(_.us <= last.us)) {
      before.foreach(said => getHandle.deleteTimer(Due.at(said.us + afterUs)))
      getHandle.registerTimer(Due.at(last.us + afterUs))
      latest.update(Said(last.k, last.i, last.v, last.us))
    }
    Iterator.empty
  }

  override def handleExpiredTimer(key: Key, timers: TimerValues, expired: ExpiredTimerInfo): Iterator[Said] = {
    val last = latest.get()
    latest.clear()
    Iterator(last.copy(us = last.us + afterUs))
  }
}

/** Says that no event of a key has come for so long by the clock on the wall, once, and forgets it. That time is the one
  * at which a batch begins: of what comes together, an event is before a timer.
  */
class Listening(afterMs: Long) extends StatefulProcessor[Key, Event, Said] {
  @transient private var last: ValueState[Said] = _

  override def init(output: OutputMode, time: TimeMode): Unit =
    last = getHandle.getValueState("last", Encoders.product[Said], TTLConfig.NONE)

  override def handleInputRows(key: Key, rows: Iterator[Event], timers: TimerValues): Iterator[Said] = {
    val event = rows.maxBy(_.o)
    getHandle.listTimers().toSeq.foreach(getHandle.deleteTimer)
    getHandle.registerTimer(timers.getCurrentProcessingTimeInMs() + afterMs)
    last.update(Said(event.k, event.i, event.v, event.us))
    Iterator.empty
  }

  override def handleExpiredTimer(key: Key, timers: TimerValues, expired: ExpiredTimerInfo): Iterator[Said] = {
    val said = last.get()
    last.clear()
    Iterator(said)
  }
}

/** Gives each event the version of its key that came last; of one batch, versions come first. */
class LatestLookup(keepsAll: Boolean) extends StatefulProcessor[Key, Event, Said] {
  @transient private var latest: ValueState[Version] = _

  override def init(output: OutputMode, time: TimeMode): Unit =
    latest = getHandle.getValueState("latest", Encoders.product[Version], TTLConfig.NONE)

  override def handleInputRows(key: Key, rows: Iterator[Event], timers: TimerValues): Iterator[Said] = {
    val (versions, asking) = rows.toSeq.sortBy(_.o).partition(_.table)
    var now = Option(latest.get())
    versions.filter(event => now.forall(_.us <= event.us) && { now = Some(Version(event.us, event.v, event.gone)); true })
    if (versions.nonEmpty) latest.update(now.get)
    val value = now.filterNot(_.gone).flatMap(_.v)
    asking.iterator.filter(_ => keepsAll || value.nonEmpty).map(event => Said(event.k, event.i, value, event.us))
  }
}

/** Gives each event the version that was valid at its time, once the watermark is past it. */
class ValidLookup(keepsAll: Boolean) extends StatefulProcessor[Key, Event, Said] {
  @transient private var versions: MapState[Long, Version] = _
  @transient private var waiting: MapState[Waiting, Said] = _

  override def init(output: OutputMode, time: TimeMode): Unit = {
    versions = getHandle.getMapState("versions", Encoders.scalaLong, Encoders.product[Version], TTLConfig.NONE)
    waiting = getHandle.getMapState("waiting", Encoders.product[Waiting], Encoders.product[Said], TTLConfig.NONE)
  }

  override def handleInputRows(key: Key, rows: Iterator[Event], timers: TimerValues): Iterator[Said] = {
    rows.toSeq.sortBy(_.o).foreach { event =>
      if (event.table) {
        versions.updateValue(event.us, Version(event.us, event.v, event.gone))
        getHandle.registerTimer(Due.at(event.us))
      } else {
        waiting.updateValue(Waiting(event.us, event.o), Said(event.k, event.i, event.v, event.us))
        getHandle.registerTimer(Due.after(event.us))
      }
    }
    Iterator.empty
  }

  override def handleExpiredTimer(key: Key, timers: TimerValues, expired: ExpiredTimerInfo): Iterator[Said] = {
    val nowUs = timers.getCurrentWatermarkInMs() * 1000
    val known = versions.values().toSeq.sortBy(_.us)
    val due = waiting.iterator().filter(_._2.us < nowUs).toSeq.sortBy(_._1.us)
    val answers = due.map { case (_, event) =>
      val valid = known.takeWhile(_.us <= event.us).lastOption.filterNot(_.gone)
      event.copy(v = valid.flatMap(_.v))
    }
    due.foreach { case (place, _) => waiting.removeKey(place) }
    val past = known.takeWhile(_.us <= nowUs)
    // What is valid now must stay, unless it says that nothing is.
    val over = if (past.lastOption.exists(_.gone)) past else past.dropRight(1)
    over.foreach(version => versions.removeKey(version.us))
    answers.iterator.filter(said => keepsAll || said.v.nonEmpty)
  }
}
