@echo off
rem Runs the Gradle that gradle\wrapper\gradle-wrapper.properties names; fetches it the first time. JAVA_HOME: the JDK.
setlocal
set java=java
if defined JAVA_HOME set java=%JAVA_HOME%\bin\java.exe
"%java%" -Xmx64m -Dorg.gradle.appname=gradlew -jar "%~dp0gradle\wrapper\gradle-wrapper.jar" %*
exit /b %ERRORLEVEL%
