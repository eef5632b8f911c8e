"""The dashboard: one page of ES modules that runs as it stands here, without a build step.

`pages` serves it, `words` gives it its languages, and `assets/` is what the browser gets:

    app.js        starts: session, language, shell, and the view that the address names
    core/         what every view stands on: elements, words, HTTP, session, the socket, formats
    ui/           parts that views share: the chart, plots, dialogs, notices
    views/        a folder each: markets, alerts, signals, account, admin
    style/        tokens (colours, sizes), then controls, the shell, and a file for each view
    tickhub.js    the browser SDK of clients/js, which is all that it talks to the socket with

The chart library comes out of the installed distribution lwcharts, whose own code is not imported.
"""
